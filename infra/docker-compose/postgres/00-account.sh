#!/bin/bash
# Run by the image once, when the data directory is new: the sample data, and the account that the gateway uses.
set -euo pipefail
password=$(</run/secrets/demo-app-password)
psql -v ON_ERROR_STOP=1 -q -X --single-transaction --username postgres --dbname "$POSTGRES_DB" \
  -v password="$password" -f - <<'SQL'
CREATE ROLE app LOGIN PASSWORD :'password';
\i /usr/local/share/custody/demo.sql
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app;
GRANT CREATE ON SCHEMA public TO app;
SQL
