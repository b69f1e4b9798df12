/**
 * PostgreSQL's own relations and functions as masking sees them: which of them give out data of users, statement texts, settings
 * or secrets, and which columns functions in FROM have.
 * What is not named here is unknown where it is a function, and clean where it is a relation of the catalogue.
 */
import { READING } from './reading-functions'

/** Relations in pg_catalog, of versions 15 to 18. */
const CATALOGUE = new Set(
  `pg_aggregate pg_aios pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members pg_authid
pg_available_extension_versions pg_available_extensions pg_backend_memory_contexts pg_cast pg_class pg_collation pg_config
pg_constraint pg_conversion pg_cursors pg_database pg_db_role_setting pg_default_acl pg_depend pg_description pg_enum
pg_event_trigger pg_extension pg_file_settings pg_foreign_data_wrapper pg_foreign_server pg_foreign_table pg_group
pg_hba_file_rules pg_ident_file_mappings pg_index pg_indexes pg_inherits pg_init_privs pg_language pg_largeobject
pg_largeobject_metadata pg_locks pg_matviews pg_namespace pg_opclass pg_operator pg_opfamily pg_parameter_acl
pg_partitioned_table pg_policies pg_policy pg_prepared_statements pg_prepared_xacts pg_proc pg_publication
pg_publication_namespace pg_publication_rel pg_publication_tables pg_range pg_replication_origin
pg_replication_origin_status pg_replication_slots pg_rewrite pg_roles pg_rules pg_seclabel pg_seclabels pg_sequence
pg_sequences pg_settings pg_shadow pg_shdepend pg_shdescription pg_shmem_allocations pg_shmem_allocations_numa pg_shseclabel
pg_stat_activity pg_stat_all_indexes pg_stat_all_tables pg_stat_archiver pg_stat_bgwriter pg_stat_checkpointer
pg_stat_database pg_stat_database_conflicts pg_stat_gssapi pg_stat_io pg_stat_progress_analyze pg_stat_progress_basebackup
pg_stat_progress_cluster pg_stat_progress_copy pg_stat_progress_create_index pg_stat_progress_vacuum
pg_stat_recovery_prefetch pg_stat_replication pg_stat_replication_slots pg_stat_slru pg_stat_ssl pg_stat_subscription
pg_stat_subscription_stats pg_stat_sys_indexes pg_stat_sys_tables pg_stat_user_functions pg_stat_user_indexes
pg_stat_user_tables pg_stat_wal pg_stat_wal_receiver pg_stat_xact_all_tables pg_stat_xact_sys_tables
pg_stat_xact_user_functions pg_stat_xact_user_tables pg_statio_all_indexes pg_statio_all_sequences pg_statio_all_tables
pg_statio_sys_indexes pg_statio_sys_sequences pg_statio_sys_tables pg_statio_user_indexes pg_statio_user_sequences
pg_statio_user_tables pg_statistic pg_statistic_ext pg_statistic_ext_data pg_stats pg_stats_ext pg_stats_ext_exprs
pg_subscription pg_subscription_rel pg_tables pg_tablespace pg_timezone_abbrevs pg_timezone_names pg_transform pg_trigger
pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template pg_type pg_user pg_user_mapping pg_user_mappings
pg_views pg_wait_events`.split(/\s+/),
)

const SAMPLES = `most_common_vals histogram_bounds most_common_elems elem_count_histogram range_length_histogram
range_bounds_histogram`
/** Columns of them that hold data of users, statement texts, settings or secrets. */
const TELLING: Record<string, ReadonlySet<string>> = Object.fromEntries(
  Object.entries({
    pg_statistic: 'stavalues1 stavalues2 stavalues3 stavalues4 stavalues5',
    pg_stats: SAMPLES,
    pg_stats_ext: 'most_common_vals',
    pg_stats_ext_exprs: SAMPLES,
    pg_statistic_ext_data: 'stxdmcv stxdexpr',
    pg_stat_activity: 'query application_name',
    pg_stat_replication: 'application_name',
    pg_stat_statements: 'query',
    pg_prepared_statements: 'statement',
    pg_cursors: 'statement',
    pg_backend_memory_contexts: 'ident',
    pg_largeobject: 'data',
    pg_attribute: 'attmissingval',
    pg_authid: 'rolpassword',
    pg_shadow: 'passwd useconfig',
    pg_user: 'useconfig',
    pg_roles: 'rolconfig',
    pg_user_mapping: 'umoptions',
    pg_user_mappings: 'umoptions',
    pg_foreign_server: 'srvoptions',
    pg_foreign_table: 'ftoptions',
    pg_foreign_data_wrapper: 'fdwoptions',
    pg_subscription: 'subconninfo',
    pg_stat_wal_receiver: 'conninfo',
    pg_settings: 'setting boot_val reset_val',
    pg_file_settings: 'setting',
    pg_db_role_setting: 'setconfig',
    pg_hba_file_rules: 'options',
    user_mapping_options: 'option_value',
    foreign_server_options: 'option_value',
    foreign_table_options: 'option_value',
    foreign_data_wrapper_options: 'option_value',
    column_options: 'option_value',
    _pg_user_mappings: 'umoptions',
    _pg_foreign_servers: 'srvoptions',
    _pg_foreign_tables: 'ftoptions',
    _pg_foreign_data_wrappers: 'fdwoptions',
    _pg_foreign_table_columns: 'attfdwoptions',
  }).map(([name, columns]) => [name, new Set(columns.split(/\s+/))]),
)

const CATALOGUE_SCHEMAS = new Set(['pg_catalog', 'information_schema'])

/** Whether a name may mean a relation of the catalogue. */
export function isCatalogue(schema: string | null, name: string): boolean {
  return schema === null
    ? CATALOGUE.has(name) || name === 'pg_stat_statements'
    : CATALOGUE_SCHEMAS.has(schema)
}

export function isCatalogueSchema(schema: string): boolean {
  return CATALOGUE_SCHEMAS.has(schema)
}

export function tellingColumns(relation: string): ReadonlySet<string> {
  return TELLING[relation] ?? new Set()
}

/** READING, but with what is not among their arguments. */
const TELLING_FUNCTIONS = new Set([
  'current_setting',
  'pg_show_all_settings',
  'pg_mcv_list_items',
  'pg_stat_get_wal_receiver',
  'pg_event_trigger_ddl_commands',
])

/** Not among READING, as they change something or wait, but what they give is of their arguments or of nobody. */
const COMPUTING = new Set(
  `nextval random random_normal setseed clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 array_sample array_shuffle
txid_current pg_current_xact_id txid_status pg_xact_status pg_cancel_backend pg_terminate_backend pg_reload_conf
pg_sleep pg_sleep_for pg_sleep_until pg_advisory_unlock_all pg_stat_clear_snapshot pg_stat_reset pg_is_in_recovery
pg_table_size pg_relation_size pg_total_relation_size pg_indexes_size pg_database_size pg_tablespace_size
pg_export_snapshot pg_lock_status pg_blocking_pids pg_postmaster_start_time current_query pg_current_wal_lsn
pg_xact_commit_timestamp pg_last_committed_xact pg_stat_have_stats pg_sequence_last_value pg_get_wait_events`.split(
    /\s+/,
  ),
)

/** The same, but others may see what they are given. */
const SHOWING = new Set(
  `setval pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_xact_lock
pg_advisory_xact_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock
pg_try_advisory_xact_lock_shared pg_create_restore_point`.split(/\s+/),
)

/** Their result says nothing of their arguments' values. */
const DECLASSIFYING = new Set(['count', 'pg_typeof'])
/** The same, with OVER or WITHIN GROUP. */
const RANKING = new Set(['row_number', 'rank', 'dense_rank', 'percent_rank', 'cume_dist'])

export type Effect = 'computes' | 'says-nothing' | 'shows' | 'unknown'

/** What one of PostgreSQL's own functions does with its arguments, by the name that a statement calls it. */
export function effectOf(name: string, windowed: boolean, plainSetting: boolean): Effect {
  const plain = name.startsWith('pg_catalog.') ? name.slice('pg_catalog.'.length) : name
  if (plain === 'current_setting' && plainSetting) return 'says-nothing'
  if (TELLING_FUNCTIONS.has(plain)) return 'unknown'
  if (DECLASSIFYING.has(plain) || (windowed && RANKING.has(plain))) return 'says-nothing'
  if (SHOWING.has(plain)) return 'shows'
  return READING.has(plain) || COMPUTING.has(plain) ? 'computes' : 'unknown'
}

/** Names of the columns that they have in FROM. */
const COLUMNS: Record<string, readonly string[]> = {
  json_each: ['key', 'value'],
  jsonb_each: ['key', 'value'],
  json_each_text: ['key', 'value'],
  jsonb_each_text: ['key', 'value'],
  json_array_elements: ['value'],
  jsonb_array_elements: ['value'],
  json_array_elements_text: ['value'],
  jsonb_array_elements_text: ['value'],
  aclexplode: ['grantor', 'grantee', 'privilege_type', 'is_grantable'],
  pg_options_to_table: ['option_name', 'option_value'],
  ts_parse: ['tokid', 'token'],
  ts_token_type: ['tokid', 'alias', 'description'],
}
/** They have other columns, or as many as their arguments say. */
const WIDE =
  /^(unnest|jsonb?_populate_|jsonb?_to_record|ts_debug$|pg_|record_|any|xpath_table|coalesce|greatest|least|nullif|lag|lead|first_value|last_value|nth_value|max|min|mode|percentile|row|case)/
const WIDE_BUT_SINGLE = new Set([
  'pg_typeof',
  'pg_backend_pid',
  'pg_size_pretty',
  'pg_size_bytes',
  'pg_get_viewdef',
  'pg_get_functiondef',
  'pg_get_indexdef',
  'pg_get_constraintdef',
  'pg_get_expr',
  'pg_get_userbyid',
  'pg_relation_size',
  'pg_total_relation_size',
  'pg_database_size',
  'pg_sleep',
])

/** The columns of a function in FROM: their names; null for one column of the function's or its alias's name; unknown. */
export function columnsInFrom(name: string): readonly string[] | null | 'unknown' {
  const plain = name.startsWith('pg_catalog.') ? name.slice('pg_catalog.'.length) : name
  if (COLUMNS[plain] !== undefined) return COLUMNS[plain]
  if (!READING.has(plain) || (WIDE.test(plain) && !WIDE_BUT_SINGLE.has(plain))) return 'unknown'
  return null
}
