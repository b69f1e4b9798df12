/**
 * The servers' own databases as masking sees them: which of their tables hold no data of users, statement texts or secrets.
 * What is not named here is unknown.
 */

const words = (text: string) => new Set(text.trim().split(/\s+/))

const INFORMATION =
  words(`administrable_role_authorizations applicable_roles character_sets check_constraints collations
collation_character_set_applicability columns columns_extensions column_privileges enabled_roles engines events files
geometry_columns global_status global_variables innodb_columns innodb_datafiles innodb_fields innodb_foreign
innodb_foreign_cols innodb_indexes innodb_metrics innodb_sys_columns innodb_sys_fields innodb_sys_foreign
innodb_sys_foreign_cols innodb_sys_indexes innodb_sys_tables innodb_sys_tablespaces innodb_sys_tablestats innodb_tables
innodb_tablespaces innodb_tablestats key_caches key_column_usage keywords parameters partitions periods plugins
referential_constraints role_column_grants role_routine_grants role_table_grants routines schemata schema_privileges sequences
session_status session_variables spatial_ref_sys sql_functions statistics st_geometry_columns st_spatial_reference_systems
st_units_of_measure system_variables tables tables_extensions tablespaces table_constraints table_constraints_extensions
table_privileges triggers user_attributes user_privileges views view_routine_usage view_table_usage`)

const PERFORMANCE =
  /^(setup_\w+|global_status|session_status|global_variables|session_variables|accounts|hosts|users|replication_\w*status\w*|(table|file|index)_\w*summary\w*)$/
const MYSQL =
  /^(help_\w+|time_zone\w*|plugin|func|innodb_table_stats|innodb_index_stats|engine_cost|server_cost|gtid_\w+)$/

export function isOwnDatabase(name: string | null): boolean {
  return /^(information_schema|performance_schema|mysql|sys)$/i.test(name ?? '')
}

/** Whether a table of one of them holds nothing but what there is. */
export function isPlain(database: string, table: string): boolean {
  const name = table.toLowerCase()
  switch (database.toLowerCase()) {
    case 'information_schema':
      return INFORMATION.has(name)
    case 'performance_schema':
      return PERFORMANCE.test(name)
    case 'mysql':
      return MYSQL.test(name)
  }
  return false
}
