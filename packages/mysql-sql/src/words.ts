/**
 * Words that have a meaning of their own: reserved ones, which are no names without quotes, and those that built-in syntax uses.
 * MariaDB's were found by asking a server of 10.11 for each of its keywords; MySQL's are of its manual for 8.4 and 9.
 */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/))

const BOTH = `accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade case
change char character check collate column condition constraint continue convert create cross current_date current_role
current_time current_timestamp current_user cursor databases day_hour day_microsecond day_minute day_second dec decimal
declare default delayed delete desc describe deterministic distinct distinctrow div double drop dual each else elseif
enclosed escaped except exists exit explain false fetch float float4 float8 for force foreign from fulltext grant group
having high_priority hour_microsecond hour_minute hour_second if ignore in index infile inner inout insensitive insert int
int1 int2 int3 int4 int8 integer intersect interval into is iterate join key keys kill leading leave left like limit linear
lines load localtime localtimestamp lock long longblob longtext loop low_priority match maxvalue mediumblob mediumint
mediumtext middleint minute_microsecond minute_second mod modifies natural not no_write_to_binlog null numeric on optimize
optionally or order out outer outfile over partition precision primary procedure purge range read reads read_write real
recursive references regexp release rename repeat replace require resignal restrict return revoke right rlike rows
row_number second_microsecond select sensitive separator set show signal smallint spatial specific sql sqlexception
sqlstate sqlwarning sql_big_result sql_calc_found_rows sql_small_result ssl starting straight_join table terminated then
tinyblob tinyint tinytext to trailing trigger true undo union unique unlock unsigned update usage use using utc_date
utc_time utc_timestamp values varbinary varchar varcharacter varying when where while with write xor year_month zerofill`

export const RESERVED: Readonly<Record<'mariadb' | 'mysql', ReadonlySet<string>>> = {
  mariadb: words(`${BOTH} delete_domain_id do_domain_ids ignore_domain_ids master_demote_to_replica
master_demote_to_slave master_ssl_verify_server_cert offset page_checksum parse_vcol_expr portion ref_system_id returning
schemas stats_auto_recalc stats_persistent stats_sample_pages`),
  mysql:
    words(`${BOTH} cube cume_dist database dense_rank empty external first_value function generated get grouping groups
io_after_gtids io_before_gtids json_table lag last_value lateral lead library manual master_bind
master_ssl_verify_server_cert nth_value ntile of option optimizer_costs parallel percent_rank qualify rank row schema
schemas sets stored system tablesample virtual window`),
}

/** After a table or a value, what goes on with the statement and is no alias, reserved or not. */
export const NO_ALIAS =
  words(`cross except fetch for force from full group having ignore inner intersect into join left limit
lock minus natural offset on order partition procedure qualify returning right rows set straight_join union use using
values where window with`)

/** Called without parentheses, or with empty ones. */
export const CONSTANT_WORDS =
  words(`current_date current_time current_timestamp current_user current_role localtime
localtimestamp utc_date utc_time utc_timestamp`)

export const UNITS =
  words(`microsecond second minute hour day week month quarter year second_microsecond minute_microsecond
minute_second hour_microsecond hour_second hour_minute day_microsecond day_second day_minute day_hour year_month
sql_tsi_second sql_tsi_minute sql_tsi_hour sql_tsi_day sql_tsi_week sql_tsi_month sql_tsi_quarter sql_tsi_year
sql_tsi_frac_second`)

/** Functions that the servers know as such only where a parenthesis follows at once; otherwise it is somebody's own function. */
export const WITHOUT_SPACE =
  words(`adddate bit_and bit_or bit_xor cast count cume_dist curdate curtime date_add date_sub
dense_rank extract first_value group_concat json_arrayagg json_objectagg lag last_value lead max median mid min now nth_value
ntile percent_rank percentile_cont percentile_disc position rank row_number session_user st_collect std stddev stddev_pop
stddev_samp subdate substr substring sum sysdate system_user trim variance var_pop var_samp`)

/** Reserved words that are functions where a parenthesis follows. */
export const RESERVED_FUNCTIONS =
  words(`char cume_dist database dense_rank first_value grouping if insert lag last_value lead
left mod nth_value ntile percent_rank rank repeat replace right row_number schema`)
