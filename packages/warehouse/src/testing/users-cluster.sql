CREATE SETTINGS PROFILE IF NOT EXISTS custody_ingest ON CLUSTER main;

ALTER SETTINGS PROFILE custody_ingest ON CLUSTER main SETTINGS max_execution_time = 300;

CREATE USER IF NOT EXISTS custody_ingest ON CLUSTER main IDENTIFIED WITH sha256_hash BY 'a245289e733f77a578b547352d7563e2a449fbd995cca53dece46dad530047b1' DEFAULT DATABASE custody SETTINGS PROFILE 'custody_ingest';

ALTER USER custody_ingest ON CLUSTER main IDENTIFIED WITH sha256_hash BY 'a245289e733f77a578b547352d7563e2a449fbd995cca53dece46dad530047b1' DEFAULT DATABASE custody SETTINGS PROFILE 'custody_ingest';

GRANT ON CLUSTER main SELECT ON custody.*, INSERT ON custody.events, INSERT ON custody.events_local, SELECT ON system.processes TO custody_ingest WITH REPLACE OPTION;

CREATE SETTINGS PROFILE IF NOT EXISTS custody_query ON CLUSTER main;

ALTER SETTINGS PROFILE custody_query ON CLUSTER main SETTINGS readonly = 2, max_execution_time = 60 MIN 1 MAX 300, max_memory_usage = 4294967296 MIN 1 MAX 4294967296, max_result_rows = 2000000 MIN 1 MAX 2000000, max_result_bytes = 268435456 MIN 1 MAX 268435456, max_concurrent_queries_for_user = 64 MIN 1 MAX 64, max_bytes_before_external_sort = 2147483648 MIN 1 MAX 2147483648, max_bytes_before_external_group_by = 2147483648 MIN 1 MAX 2147483648;

CREATE USER IF NOT EXISTS custody_query ON CLUSTER main IDENTIFIED WITH sha256_hash BY '35849eaa03febb270da321a2771e224a9135115deb0bc8d0ebddd4357374a659' DEFAULT DATABASE custody SETTINGS PROFILE 'custody_query';

ALTER USER custody_query ON CLUSTER main IDENTIFIED WITH sha256_hash BY '35849eaa03febb270da321a2771e224a9135115deb0bc8d0ebddd4357374a659' DEFAULT DATABASE custody SETTINGS PROFILE 'custody_query';

GRANT ON CLUSTER main SELECT ON custody.*, SHOW ON custody.* TO custody_query WITH REPLACE OPTION;
