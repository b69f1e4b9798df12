/**
 * The servers' own functions that only compute or read what they are given, and what others do.
 * A built-in function's name goes before a stored one's where it is not qualified; what is not named here may be somebody's own
 * function, or writes, locks, waits, reads files: `sql:call`.
 */

const words = (text: string): readonly string[] => text.trim().split(/\s+/)

/** Of MariaDB since 10.2 and MySQL since 5.7. */
const BOTH =
  words(`abs acos adddate addtime aes_decrypt aes_encrypt ascii asin atan atan2 avg bin bit_and bit_count bit_length
bit_or bit_xor ceil ceiling char char_length character_length charset coalesce coercibility collation compress concat
concat_ws connection_id conv convert_tz cos cot count crc32 curdate curtime database date date_add date_format date_sub datediff
day dayname dayofmonth dayofweek dayofyear default degrees elt exp export_set extract field find_in_set floor
format found_rows from_base64 from_days from_unixtime get_format greatest group_concat hex hour if ifnull inet6_aton inet6_ntoa
inet_aton inet_ntoa insert instr interval is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 isnull json_array json_array_append
json_array_insert json_contains json_contains_path json_depth json_extract json_insert json_keys json_length json_merge
json_object json_quote json_remove json_replace json_search json_set json_type json_unquote json_valid last_day lcase
least left length ln localtime localtimestamp locate log log10 log2 lower lpad ltrim make_set makedate maketime max md5
microsecond mid min minute mod month monthname now nullif oct octet_length ord period_add period_diff pi position pow power
quarter quote radians rand repeat replace reverse right round row_count rpad rtrim schema sec_to_time second session_user sha
sha1 sha2 sign sin soundex space sqrt st_area st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_buffer st_centroid
st_contains st_convexhull st_crosses st_difference st_dimension st_disjoint st_distance st_endpoint st_envelope st_equals
st_exteriorring st_geomcollfromtext st_geometryfromtext st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext
st_geomfromwkb st_interiorringn st_intersection st_intersects st_isclosed st_isempty st_issimple st_length st_linefromtext
st_numgeometries st_numinteriorrings st_numpoints st_overlaps st_pointfromtext st_pointn st_polyfromtext st_srid st_startpoint
st_symdifference st_touches st_union st_within st_x st_y std stddev stddev_pop stddev_samp str_to_date strcmp subdate substr
substring substring_index subtime sum sysdate system_user tan time time_format time_to_sec timediff timestamp timestampadd
timestampdiff to_base64 to_days to_seconds trim truncate ucase uncompress uncompressed_length unhex unix_timestamp upper user
utc_date utc_time utc_timestamp uuid uuid_short values var_pop var_samp variance version week weekday weekofyear weight_string
year yearweek point linestring polygon multipoint multilinestring multipolygon geometrycollection mbrcontains mbrdisjoint
mbrequal mbrintersects mbroverlaps mbrtouches mbrwithin name_const regexp_instr regexp_replace regexp_substr
json_compact`)

const WINDOWS =
  words(`cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
json_arrayagg json_objectagg json_value json_merge_patch json_merge_preserve json_overlaps json_pretty`)

const MARIADB =
  words(`add_months chr column_add column_check column_create column_delete column_exists column_get column_json column_list
crc32c decode decode_histogram des_decrypt des_encrypt encode encrypt extractvalue json_detailed json_equals json_exists
json_loose json_normalize json_query lengthb median natural_sort_key nvl nvl2 old_password password percentile_cont
percentile_disc random_bytes sformat to_char updatexml sys_guid kdf trim_oracle lpad_oracle rpad_oracle
ltrim_oracle rtrim_oracle replace_oracle substr_oracle concat_operator_oracle decode_oracle binlog_gtid_pos`)

const MYSQL =
  words(`any_value bin_to_uuid extractvalue format_bytes format_pico_time gtid_subset gtid_subtract grouping is_uuid
json_schema_valid json_storage_free json_storage_size ps_current_thread_id ps_thread_id random_bytes regexp_like
st_collect st_distance_sphere st_geohash st_hausdorffdistance st_frechetdistance st_isvalid st_latfromgeohash st_latitude
st_lineinterpolatepoint st_longfromgeohash st_longitude st_makeenvelope st_pointatdistance st_pointfromgeohash st_simplify
st_swapxy st_transform st_validate statement_digest statement_digest_text updatexml uuid_to_bin`)

/** Since which version a server has one of the newer ones; before it, somebody's own function may have the name. */
const SINCE: Record<'mariadb' | 'mysql', Record<string, number>> = {
  mariadb: {
    add_months: 100601,
    sys_guid: 100601,
    to_char: 100601,
    sformat: 100700,
    natural_sort_key: 100700,
    random_bytes: 101000,
    crc32c: 100800,
    chr: 100303,
    lengthb: 100301,
    nvl: 100301,
    nvl2: 100301,
    median: 100303,
    percentile_cont: 100303,
    percentile_disc: 100303,
    json_arrayagg: 100500,
    json_objectagg: 100500,
    json_equals: 100700,
    json_normalize: 100700,
    json_overlaps: 100900,
    json_merge_patch: 100203,
    json_merge_preserve: 100203,
    json_pretty: 101003,
    decode_histogram: 100001,
    kdf: 110300,
    json_detailed: 100204,
  },
  mysql: {
    json_merge_patch: 50722,
    json_merge_preserve: 50722,
    json_pretty: 50722,
    json_storage_free: 80002,
    json_storage_size: 50722,
    json_arrayagg: 50722,
    json_objectagg: 50722,
    json_value: 80021,
    json_overlaps: 80017,
    json_schema_valid: 80017,
    regexp_instr: 80004,
    regexp_like: 80004,
    regexp_replace: 80004,
    regexp_substr: 80004,
    bin_to_uuid: 80000,
    uuid_to_bin: 80000,
    is_uuid: 80000,
    grouping: 80001,
    format_bytes: 80016,
    format_pico_time: 80016,
    ps_current_thread_id: 80016,
    ps_thread_id: 80016,
    statement_digest: 80004,
    statement_digest_text: 80004,
    st_collect: 80024,
    st_transform: 80013,
    st_swapxy: 80001,
    st_latitude: 80012,
    st_longitude: 80012,
    st_lineinterpolatepoint: 80024,
    st_pointatdistance: 80024,
    st_hausdorffdistance: 80023,
    st_frechetdistance: 80023,
  },
}
for (const name of words(
  `cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number`,
)) {
  SINCE.mysql[name] = 80002
  SINCE.mariadb[name] = 100200
}

/** From which version on a name is free again: MySQL 9 has them in a component, if at all, and others may have it before. */
const UNTIL: Record<string, number> = { mbrequal: 80000, md5: 90600, sha: 90600, sha1: 90600 }

const READING = {
  mariadb: new Set([...BOTH, ...WINDOWS, ...MARIADB]),
  mysql: new Set([...BOTH, ...WINDOWS, ...MYSQL].filter((name) => name !== 'json_compact')),
}

/** Whether a name, not qualified, is a built-in function that only computes or reads. */
export function isReading(
  name: string,
  server: 'mysql' | 'mariadb',
  serverVersion: number,
): boolean {
  if (!READING[server].has(name)) return false
  const since = Object.hasOwn(SINCE[server], name) ? SINCE[server][name]! : 0
  const until = server === 'mysql' && Object.hasOwn(UNTIL, name) ? UNTIL[name]! : Infinity
  return serverVersion >= since && serverVersion < until
}

/** Neither is a function of its arguments alone, but changes no data and makes nothing: a name's lock, a wait. */
export const PLAIN_WRITING: ReadonlySet<string> = new Set(
  words(`benchmark get_lock is_free_lock is_used_lock last_insert_id lastval master_gtid_wait master_pos_wait nextval
release_all_locks release_lock setval sleep source_pos_wait wait_for_executed_gtid_set
wait_until_sql_thread_after_gtids`),
)

/** They say nothing of their arguments. */
export const SAYS_NOTHING: ReadonlySet<string> = new Set(
  words(`connection_id curdate curtime current_user database found_rows get_lock is_free_lock is_used_lock now pi rand
release_all_locks release_lock row_count schema session_user sleep sys_guid sysdate system_user utc_date utc_time
utc_timestamp uuid uuid_short version user`),
)

/** They are given passwords or keys. */
export const SECRET_FUNCTIONS: ReadonlySet<string> = new Set(
  words(
    `aes_decrypt aes_encrypt des_decrypt des_encrypt decode encode encrypt kdf old_password password`,
  ),
)
