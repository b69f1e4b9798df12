/**
 * Words of PostgreSQL's own messages, in lower case: those that stand in at least two of the message texts of the servers of
 * versions 15 and 18 (and of plpgsql, hstore, pgcrypto, dblink and postgres_fdw of 15), read out of their programs. What is
 * none of them may be data.
 */
export const MESSAGE_WORDS: ReadonlySet<string> = new Set(
  `abandoned abandoning abbreviation abbreviations able abnormal abnormally abort aborted aborting about above absent
absolute accept accepted accepting accepts access accessed accesses accessor accidentally accompanying according
account accumulate aclinsert aclremove acquire acquired across action actions active activity acts actual adbin add
added adding additional addr address addresses adequate administrator adminpack adopt advance advanced advancing
advertising affect affected affects affix after again against age aggref aggregate aggregate's aggregated aggregates
aggregation aggressive aggressively ahead algo algorithm alias aliases alignment alike all alloc allocate allocated
allocating allocation allocator allow allowed allows along already also alter altered altering alternating always
ambiguous amend among amop amount amounts amproc amvalidate an analysis analyzable analyze analyzed analyzing ancestor
ancestors and anl anonymous another any anyarray anycompatible anycompatiblearray anycompatiblemultirange
anycompatiblenonarray anycompatiblerange anyelement anyenum anymore anymultirange anynonarray anyrange anyway apart
apostmaster apparent appear appearing appears append applicable application applied applies apply applying appropriate
approximately arbiter arbiters archival archive archived archiver archiving are area aren't argmode argument arguments
array arraycontsel arrays as assertion assign assigned assigning assignment assignments associated assumes assumption
async asynchronous at attach attached attaching attack attempt attempted attempting attempts attno attnum attrdef
attribute attributes attrsize atttypid auth authenticated authentication authenticator authority authorization
authorized auto automatic automatically autovacuum availability available average avg avoid avoided awaits away axis
back backend backends background backreference backslash backslashes backtrace backup backups backward backwards bad
badly balanced bare barrier base based basetype batch batches be bearer because become becoming been before began
begin beginning begins behavior behind being belong belonging belongs below best better between beyond bgworker
bgwriter big bigint bignum billion bin binary bind binding binned bit bitcode bitmap bitmapset bits blk blkno blkref
block blocking blocks bloom bn bodies body bogus bonjour boolean bootstrap bootstrapping both bound boundaries
boundary bounded bounds brace bracket brackets brin broken btree btvacinfo bucket buckets buffer buffered buffering
buffers bug build builder building built builtin busy but by bypassed bypassing bypassrls byte bytea bytes byval ca
cache cached caches calculate calculated calendar call callback callbacks called calling calls came can can't cancel
canceled canceling candidate candidates cannot canonical canonicalization capture cardinality careful carriage
cascaded cascades case cast casts catalog catalogs catcache catchup category caught cause caused causes cert
certificate certificate's certificates chain challenge change changed changequeue changes changing channel char
character characters check checked checking checkpoint checkpointed checkpointer checkpoints checks checksum checksums
child child's children chmod choose chooses chosen chunk chunks cidr cipher ciphers ciphersuite circle circular cksum
class classes clause clauses cleaned cleaning cleanup clear cleared clearing client client's clientcert clientname
clients clock clone close closed closing cluster clustered clustering code codeset coerce coerced coercible coercion
coll collapsed collatable collating collation collations collator collect collection collector collects collnsp
colnames colors column columns combination combinations combine combinefn combining combo comma command commanded
commandid commands commas comment commit committed committing common commutative commutator commutators commute
compacted compare comparison compatibility compatible compilation compiled complete completed complex component
composite compress compressed compresses compressible compression compromise computation compute computed computing
conbin concat concatenate concatenation concurrent concurrently condition conditional conditions conexclop
confdelsetcols conffeqop confidentiality configuration configured confkey conflict conflicting conflicts conkey
connect connected connecting connection connections conpfeqop conppeqop consecutive consequence consider considered
consist consistency consistent constant constants constrained constraint constraints construct constructed constructor
constructs consult contact contain contained container containing contains content contention contents context
contexts contiguous continuation continue continues continuing contradicts contrecord control controls convention
conventions conversion convert converted converter cope copied copy copying correct correctly correlated correlation
corresponding corrupt corrupted corruption cost could count counter counts cover covers crash crashes create created
creating creation credentials critical cross crosses cryptohash cstring csvlog ctid ctids ctl cumulative current
currently currtid currval cursor cursor's cursors curve custom customary cutoff cxt cycle cyclic damaged dangling data
database database's databases datatype datatypes date dated dates datestyle datetime datetimes datetoken datum datums
day days db dblink dboid dead deadlock death debian debugger debugging decide decimal decision declaration
declarations declare declared decode decoded decoding decompile decompress deconstruct dedicated deduced deduplicate
deduplication deep default defaulting defaults defer deferrability deferrable deferred define defined defining
definition definitions deforming delay deletable delete deleted deletes deleting deletion delimited delimiter denied
denote depend dependencies dependency dependent depending depends deprecated depth deptype derived derives desc
describe description descriptor descriptors deserialfunc deserialization desired despite destination destroy destroyed
detach detached detaching detail details detected detection determine determined developer devise diagnostics
dictionary did didn't dies diff differ difference different differing differs digest digit digits dimension
dimensional dimensionality dimensions dir direct direction directly directories directory dirtied dirty disable
disabled disables disabling disagree disagrees disallow disallowed disappeared disassociate disconnection disk
displacement display displayed displaying displays dissimilar distance distinct distinguished divide divisible
division do dobalance document documentation documents does doesn't dollar domain domains don't done dots dotted
double down drop dropped dropping dtype due dummy dump duplicate duplicated duplicates duplicating durable duration
durations during dynamic dynamically each eager eagerly earlier earliest echo edge edges edit effect effective
efficiently effort eflags eight either elapsed elect elected element elements eligible embedded emit emptied empty
emptying enable enabled enables encode encoded encoding encrypt encrypted encrypting encryption end ended ending ends
enforceability enlarge enlargement enough ensure ensures ensuring enter entering entries entry enum enumerating
environment epoch equal equality equally equivalence equivalent error errors errstart es escape escaped escapes
establish estimate estimates estimation estimator european evaluate evaluates evaluating even event eventlog events
every evictions evidence exact exactly examine example exceed exceeded exceeding exceeds except exception exchange
exclude excluded excluding exclusion exclusive executable execute executed executing execution executor exhaustive
exist existence existing exists exit exited exiting expand expanded expansion expected expects expensive expired
explicit explicitly export exported expr expression expressions extcondition extconfig extend extended extensible
extension extension's extensions external extnodename extra extract extversion facilitate facility factor factorial
failed failing failover failsafe failure failures false families family far fast fastpath fatal faults fd fdatasync fe
feasible feature feedback fell fetch fetched fetching few fewer ff field fields file filename filenode filenumber
files fileset filesystem filled filling filter filters final finalize find finish finished finishing finite fire fired
first firstfreebit firstrightoff fit five fix fixed fixing flag flags flatten flattened flex float floating flush
flushed flushes flushing follow followed following for forbidden force forced forces forcing foreign fork forked
forknum form format formats formatted formatting forward forwarding found fourth fraction fractional fragments frame
free freed freeze freezing frequently from frontend frozen fsm fsync full fullness fully funcname function function's
functions further future garbage gather gave gcc generate generated generates generating generation generator generic
genetic geometric geqo get getsomeattrs gettoken gin ginarrayconsistent ginarrayextract ginqueryarrayextract gist
gistbuild give given giving global globally go got grant grantable granted grantor grants greater gregorian group
grouped grouping groups growth gssapi guarantee had half halves hand handle handled handler handling happen happens
hardware has hash hashable hashed hashing hashjoin hashtable have having hba hdr head header headers headline headoff
heap heapsort held help here hexadecimal hide hierarchies high higher highest highkey histogram historical history hit
hits hold holdable holding hole horizon host hostssl hot hour how however hstore http huge hyphenated hypothetical id
ident identification identifier identifiers identify identity idle ids if ignore ignored ignoring image images
immediate immutable implement implementation implemented implements implicit implicitly implied import importing
impose improper in inactive include included includes including inclusive incompatibility incompatible incompatibly
incomplete inconsistent incorrect incorrectly increase increasing incremental indents index index's indexed indexes
indexing indexprs indexqual indicate indicated indicates individuals indnatts inequality inet inference infinite
infinity info infomask information inherit inheritance inherited inherits inhparent inhrelid init initdb initial
initialization initialize initialized initializing initplan injection inline inlining inner inneroff input inputs ins
insensitive insert inserted inserting insertion inserts inside install installation installed installing instead
instruction instructions insufficient integer integrity intended interactive interface interfaces internal
interpretation interpretations interpreting interrupted interval intervals into introduce inval invalid invalidated
invalidating invalidation invalidations invalidly inverse invisible invocation invoked invoking involuntary involve io
is isn't isolation ispell issuer issuing it it's item items iteration iterations iterator its itself jammed join
joinlist joins jointree json jsonb jsonlog jsonpath junk just keep keepalive keepalives kerberos kernel kernel's key
keys keyword kill kilobytes kind kinds know known label labels lacks language languages large larger last lastval
latch late latency later latest launched launcher launcher's layout ldap ldapbasedn ldapbinddn ldapprefix ldapscheme
ldapsearchattribute ldapsearchfilter ldapsuffix lead leader leads leaf leafblkno leak leaked leaking leakproof leap
least left leftkey len length lengths less let letters level levels levelsup levenshtein lexeme lexemes lexer lexize
lextype lextypes libpq's libpqwalreceiver libraries library libxml like likely limit limited limits line lines link
linked links linux list list's listen listening listens lists literal literally literals live load loadable loaded
loading local locale locales localized locallock locally locate located location locations lock locked locking locks
locktag log logarithm logged logger logging logical logically logicalrep login logs logtape long longer look looking
looks lookup loop loops loss lossy lost low lower lowering ls lsn macaddr macro made magic main maintenance make
making malformed man manage management manager managers mandatory manifest manipulate manually many map mapped mapping
mappings maptokentype mark marked marker mask match matched matches matching materialization materialize materialized
mates max maximum maxvalues may mces mdc mean means meant measured mechanism member members membership memoization
memoize memory merge mergeclause mergeclauses mergejoin merging message messages meta metadata method methods
mfinalfunc microseconds might millisecond milliseconds min minimal minimum minitcond minute minvfunc misconfiguration
mismatch mismatched misordered missed misses missing mix mixing mmap mode modification modifications modified modifier
modifiers modify modifying module modules modulus moment monetary money monitor monitored monitoring month months more
most move moved moving mpi ms msfunc msspace mstype much multi multiassign multibyte multicolumn multidimensional
multiple multiply multirange multiranges multivariate multixact multixact's multixacts multixid must mutable mutual
mutually mv my nailed name named namely names namespace naming napping nbits nchain ndead ndelete ndistinct near
nearest necessary need needed needs negate negative negator negators negotiation neither nest nested nesting netmask
network never new newdata newer newest newitemoff newline newlines newly newoff next nextblkno nextval nhashes niladic
ninsert nkeys nmove no node nodes non nonblocking nonce noncontiguous nondeterministic nonessential nonlockable
nonnull nonrecyclable nonremovable nonsequentially nonstandard nonzero nooooo noplace nor normal normalization
normally not notation nothing notification notifications now nplaceholder nranges nsitem ntile ntups null nullable
nulls num number numbered numbers numeric nvalues oauth object objects obsolete obtain obtained occupied occur
occurred occurring occurs octal octet odd of off offnum offset offsets oid oidvector old older oldest omit on once one
ones ongoing online only op opclass open opened opening operand operated operating operation operations operator
operators opfamilies opfamily oprcode ops optimal optimization optimize optimizer option options or order ordered
ordering ordinal ordinary origin original originally origins orphan orphaned other others otherwise ourselves out
outage outer outermost output outside ouuuuyty over overall overflow overflowed overflows overlap overlaps override
oversize oversized overwrite overwritten overwrote own owned owner owner's ownership owning owns packet packs padding
page pageaddr pages pair pairs parallel param parameter parameterized parameterless parameters params parent parent's
parentheses parenthesis parentoff parse parsed parser parsers parsing part partdefid partexprs partial partially
participant participants partition partitioned partitioning partitions partitionwise pass passed passing passphrase
passphrases password passwords past path pathkey pathkeys pathtype pattern patterns patternsel paused pausing payload
peak peer penalty pending per percent percentage percentile perf perform performance performed performing performsort
perhaps permanent permission permissions permitted persistence pgcrypto pglz phase phrase physical physically
picksplit pid pin pincount pinned pipe pivot pkt placed placeholder placeholders places plain plaintext plan plancache
planned planner planner's planning plans platform platform's platforms please plpgsql plugin plugins plus pm point
pointer pointers points policies policy poll polygon polymorphic pool populated population port portal ports position
positional positioned positions positive possible possibly postfix postgres postgresql posting postingoff postmaster
potential power pre preceding precise precision predicate predicates prefetch prefix prefixed preload preloading
prematurely prepare prepared preparing present presorted pressure prev prevblkno prevent prevents previous previously
primary primary's prime print prints prior priority private privilege privileges proallargtypes proargmodes
proargnames probably probing problem problems proc procedural procedure procedures proceed process processed processes
processing processor proclock proclocks proconfig procs produce produces product profiler program programming progress
prohibits promise promote promoted promotion proof propagate proparallel proper properly properties proposed prosrc
protections protocol protrftypes prove provide provided provider providers provides prsend prsstart prstoken pruning
pseudo public publication publications publish published publisher publishes purged purpose purposes push put qual
qualification qualifications qualified quantifier queries query query's queue queueing quicksort quorum quote quoted
quotes radius raise raised ran random range rangetable rate rbtree rcvd re reach reached reaching read reading reads
ready real realloc realm reaping rearranging reason reasons reassign reassigning rebuild recalcitrant receipttime
receive received receiver recent recheck rechecking reclaims recognized recompile reconfigure reconnect record
recorded records recover recovered recovering recovery recreate recursion recursive recursively recv recycled recycles
recycling redefine redirect redirecting redirection redo reduce reduced reducing redundant ref refcount refer
reference referenced references referencing referential refname refresh reg regclass regcollation regconfig
regdictionary regex regexp region regis register registered registering registration registry's regnamespace regoper
regoperator regproc regprocedure regrole regtype regular regularly reindex reindexed reindexing reinitialize rejected
rejects rel related relation relations relative relcache relchecks release released releases releasing relfilenode
relfilenumber relfrozenxid relid relids relkind relmap relminmxid relnatts reload reloaded reloading relocatable
reloption relowner relpartbound rels reltuples remain remainder remaining remains remnant remote removable removal
remove removed removing rename renamed renaming rendezvous reopen reorder reorderbuffer reordering repeat repeatable
repetition replace replaced replacement replay replayed replaying replica replicate replicated replication report
reported reporting reports represent representation request requested requests require required requirement requires
reserve reserved reset resetting resident resize resjunk resno resolution resolve resolved resource resources
respectively response restart restarted restarting restartpoint restore restored restoring restricted restriction
result resulting results retransmits retried retries retrieve retrieved retry retrying return returned returning
returns reusable revmap revocation revoke revoked rewind rewrite rewrites rewritten right rightkey rights role roles
roll rollback root rotated rotation round rounded rounds routine row rowmark rowmarks rows rowtype rtree rule rules
run running runs ruuuuyt rw rwx rx safe safely salt same sample sampling satisfied save saved savepoint savepoints saw
scalar scalars scale scan scanblkno scankey scanned scanner scanning scans scheduling schema schemas script scrollable
search searches searching second secondary seconds secret secrets security see seed seek seem seems segment segments
select selected selection selective selectivity selects self semantic semaphores send sender sending sendtime sent
separate separated separator separators seq sequence sequences sequential sequentially serial serialfunc serializable
serialization serialize serialized serializing serially serious server server's servers service session session's
sessions set setlocale setof sets setseed setting settings setup setval seven several severity sfunc shared shell shm
shmat shmget short should shouldn't show shows shrink shut shutdown shutting sibling sibling's side sign signal
signaled signalfd signals signature simple simply simultaneous simultaneously since single sinval situation size sized
sizes skip skipped skipping skips slab slash sleep slice slices slot slot's slots slowness small smallint smart smgr
snapbuild snapshot snapshot's snapshots so socket sockets some something somewhere soon sorry sort sortable sorted
sortgroupref sorting sortref sorts source space span spans spec special specific specification specifications
specified specifier specifies specify specifying speculative spent spgist spill spilling spinlock split splits
splitting spuriously sql square ssl sslcert sslkey sspi sstz stack stale stamp stamps standalone standard standby
standby's standbys stanumbers start started starting starts startup stat state statement statements statistic
statistics stats status stderr stdin stdout step steps still stmt stop stopping storage store stored strategies
strategy stream streamed streaming strict strictness stride string strings strlist strong struct structure stuck
stxkind style stype sub subcommands subcommitted subdictionary subdirectory subexpression subexpressions subfield
subject sublink sublist submission subplan subplan's subplans subprocess subqueries subquery subscriber subscribes
subscript subscripted subscripting subscription subscriptions subscripts subselect substitute substituting substring
subsystem subtract subtransaction subtransactions subtype succeed successes successfully such suffered sufficient
sufficiently suitable suites summaries summarization summarized summarizer summary superblock superuser superusers
supplied supplies support supported supports suppression sure surrogate suspending swap swaps sweep switch switched
switches switching switchpoint symbol symbolic sync syncfs synchronization synchronize synchronized synchronizing
synchronous syncing synonym synonyms syntax sys syslog syslogger system system's table table's tables tablesample
tablespace tablespaces tablesync tag tail take taken takes taking tape tapes tar target targetlist targets task temp
template templates temporarily temporary term terminate terminated terminating termination terminator test testexpr
testing text textual tgargs tgtype than that the their them then there there's thesaurus these they thinks third this
those three threshold thresholds through tid tied time timed timeline timeline's timeout timer times timestamp
timestamps timestamptz timetravel timetz timezone timing timings title tle tlist tmp to toast toasted together token
tokens too top total touch track trailing tranche transaction transaction's transactions transfer transform
transiently transition translate treat treated treats tree trees tried tries trig trigger trigger's triggered triggers
trim true truncate truncated truncating truncation trust trusted try trying tsearch tsquery tsvector tuning tupdesc
tuple tuplecid tuples tuplesort tuplestore turn turned turns twice two typ type type's typed typeid types typmod
typrelid ulimit umask unable unacceptable unambiguously unary uncached unclosed uncommitted unconditional undefined
under underflow underlying underscore unencrypted unequal unexpected unexpectedly unfinished unfrozen ungrouped
unhandled unicode uninitialized union unique uniqueness unit units unix unknown unless unlink unlinked unlogged unmap
unmapped unmatched unnamed unpaused unperformed unpin unpinned unplanned unprivileged unprocessed unqualified unquoted
unreachable unrecognized unregistering unreserved unresolved unsafe unsupported unterminated until untransformed
untrusted unused up updatable update updated updater updates updating upgrade upgrading upon upper upstream us usable
usage use used useless user usermap users uses using usr usual usually utility vac vacuum vacuumed vacuuming vacuums
valid validate validated validating validation validator value values vanished var varattno variable variables
variadic variant varlevelsup varno vars varying vector ver verbosity verification verify version versions via view
views violate violated violates virtual visibility visible vla vm void volatile volume voluntary vs vsnprintf wait
waiting waits wal walreceiver walsender want warn warning was ways we week weeks weight well were what when whence
whenever where whether which while whole wholerow whose width widths wildcard will window windows winref with within
without word words work worker workers working workspaces world worst would wrap wraparound wrapper writable write
writer writes writing written wrong wrote www xact xid xlog xmax xmin xml xmlns xmlvalidate xpath xqs xsd xx year
years yes yet yield yields you your zero zeroed zeroes zeroing zone zoned zones zstd zu`.split(
    /\s+/,
  ),
)
