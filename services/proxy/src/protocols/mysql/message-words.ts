/**
 * Words of the servers' own messages, in lower case: those that stand in at least two of the message texts of MariaDB 10.11, and
 * those of the messages that are seen most. What is none of them may be data.
 */
export const MESSAGE_WORDS: ReadonlySet<string> = new Set(
  `able aborted accepts access accesses action active add adding additional after again aggregate algorithm alias all
allowed already also alter ambiguous an and anonymous another any application applies are argument arguments array as
assign associated at attribute authentication auto autocommit automatic back backup bad base based be because been
before being between big bigger bigint bin binary binlog bit blob blobs block blocked body both branch buffer built
bulk busy but by byte bytes cache calculation call can can't cannot case change changed changes changing char
character characters check checksum child clause clauses client close closed code collation collations column columns
combination command comment commit committed communication compiled complete completion component compressed
concurrent condition configuration configured conflict conflicting conflicts connect connecting connection connections
consider consistency consistent const constant constraint constructor consult contain contains context conversion
convert converted converting copy correct corresponds corrupt corrupted could couldn't count counter counts crashed
create created creating creation creators current currently cursor data database datatype date datetime db ddl
deadlock debug decimal declaration declared default define defined definer definition definitions delayed delete
deleted denied dependent deprecated depth derived description detected determines differ different differently digit
dir direct directory disabled disallowed discard discarded distinct division do doc does doesn't domain don't done
double drop dropped dropping due dump duplicate duplicates duration during dynamic each early either elements else
empty enable enabled encountered end ends enforce engine engines enough entry eq_ref equal errno error errors escaping
even event events every examine exceeded exceeds exception exchange execute executed executing execution exist
existing exists expected expired explain explicitly expression expressions extra failed fails failure family fatal
federated fetch field fields file files filtered find first fix fixed flag float flush for forbidden force foreign
format found frame frm from fts full fulltext function functions future generate generated geojson geometry get gis
given global got grant greater group gtid gtids handler happens has hash have having header heartbeat here hidden
historical history holding host id identifier if ignore ignored illegal implicit import impossible in include included
incomplete inconsistency incorrect increasing increment index indexes info information initialize initializing inner
innodb inout input insert inserted inside instead instruction int integer integers internal interrupted interval into
invalid invoker involved io is isn't isolation it item its join json key key_len keys killed label large last later
lead least left length less level library like limit limited line list load loaded lock locked locks log logged
logging logs long longer malformed manual many mariadb mariadbd marked master master's match matched matching
materialized max maximum maxvalue may means mediumint memory merge message messages metadata might mismatch missing
mix mixed mixing mode modified modify more multi multiple must myisam myrocks mysql name native near need needed needs
net never new next no non not note now null number numbers numeric object occurred of off ok old on once one ongoing
online only open operation operations option options or order other out outer overflow override overrun owner packet
packets parallel parameter parameters parent parse parser parsing part partition partitioned partitioning partitions
parts password passwords past path pending performance performed period please plugin point points pos position
possible possible_keys precise predicted prepared present preserve prevents previous primary privilege privileges
probably procedure procedures proceed progress protocol provided purge purged query range re reached read reading
reads reason rebuild received recommended record records recreate recursion recursive ref reference referenced
references referring refers registry relay release reload remove removed rename renamed reorganize repair repeatable
replace replaced replicate replicated replication repository requested require required requires reset resignal
restart restarting result retrieved retry return returns revoke right rocksdb role rollback rolled routine row rows
run running safe same scheduler schema seconds secure see select select_type selected selects self separator seq
sequence server session set setting shared should show shutdown signal simple since single size skip skipped skipping
slave smallint snapshot so socket some sort source spatial specific specification specifications specified specify sql
sqlstate ssl stack stage start started starts state statement statements status step stmt stop stopped storage store
stored strict string structure subpartition subpartitioned subpartitions subqueries subquery subroutine such super
support supported supports switch sync syntax system table tables tablespace target task temporary terminated text
than that the their them then there they this thread threads time timeout timestamp tinyint to too total transaction
transactional transactions tried trigger triggers truncated trust try trying ttl twice two type types unable
unacceptable unblock uncompress uncompressed undefined underlying undo unexpected unhandled uninitialized union unique
unknown unsafe unsigned unsupported until up updatable update updated updates upgrade usage use used user users uses
using utf8 uuid valid value values varchar variable verification version versioned versioning view view's wait want
warning warnings was well were what when where which while will window with within without work worker working would
write writing written wrong xa xaer xid xpath year yet you your zero zlib`.split(/\s+/),
)
