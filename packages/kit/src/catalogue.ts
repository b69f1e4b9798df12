/**
 * Every error Custody can show, by stable code: what it means and what the reader has to do about it.
 * Holds words only; refuses to know where an error arises. `docs/errors.md` is this list rendered, and a test holds the
 * two, and the codes used in the sources, together. A code is never reused for another meaning.
 */
export interface CatalogueEntry {
  /** What happened, in one line. */
  readonly meaning: string
  /** What the person who reads it has to do. */
  readonly duty: string
}

export const catalogue = {
  'CUSTODY-ACCESS-001': {
    meaning: 'The credential that a client presented was refused.',
    duty: 'Get a fresh one with `custody connect <resource>` or `custody token`, and use the user name that it was issued to.',
  },
  'CUSTODY-ACCESS-002': {
    meaning: 'What a client named is no resource of this gateway, or speaks another protocol.',
    duty: 'Databases: name `resource` or `resource/database` as the database; SSH: `account@resource` or `resource` as the user; `custody status` lists the resources.',
  },
  'CUSTODY-ACCESS-003': {
    meaning: 'The gateway holds as many connections or handshakes as it may.',
    duty: 'Close some, or raise limits.connectionsMax or limits.handshakesMax.',
  },
  'CUSTODY-ACCESS-004': {
    meaning: 'The client did not finish signing in within handshakeMsMax.',
    duty: 'Try again; on slow links raise limits.handshakeMsMax.',
  },
  'CUSTODY-ACCESS-005': {
    meaning: 'A credential would have crossed the network in clear text.',
    duty: 'Connect with TLS (psql: sslmode=require; mysql: --ssl-mode=REQUIRED).',
  },
  'CUSTODY-ACCESS-006': {
    meaning:
      'Signing in by browser did not come about: nobody said yes in time, somebody said no, the client went away, or too many wait already.',
    duty: 'Connect again and open the address that the client shows; or present a token (`custody connect`).',
  },
  'CUSTODY-API-001': {
    meaning: 'No credential, or an unknown one, was presented to the API.',
    duty: 'Send `Authorization: Bearer <token>` with a Custody token, or the local administrator secret in CUSTODY_HOME/run/admin-token.',
  },
  'CUSTODY-API-002': {
    meaning: 'The identity may not do this.',
    duty: 'Ask the local administrator: whoever can read CUSTODY_HOME/run/admin-token.',
  },
  'CUSTODY-API-003': {
    meaning: 'What was asked for is not there, or this identity may not see it.',
    duty: 'Check the identifier; `custody sessions` lists what there is.',
  },
  'CUSTODY-API-004': {
    meaning: 'The request is wrong.',
    duty: 'Correct what the message names; /api/openapi.json describes every request.',
  },
  'CUSTODY-API-005': {
    meaning: 'The API was reached under a host name that is not its own.',
    duty: 'Use its address, localhost, or the name in `listen.host` or `console.url`.',
  },
  'CUSTODY-API-006': {
    meaning: 'The read cannot be recorded, so nothing is shown.',
    duty: 'Make the event log writable again (disk space, permissions), then repeat the request.',
  },
  'CUSTODY-API-007': {
    meaning: 'The store of events does not answer.',
    duty: 'Repeat the request in a moment; if it persists, read the warehouse lines in CUSTODY_HOME/custody.log.',
  },
  'CUSTODY-API-008': {
    meaning: 'Something unexpected went wrong in the API.',
    duty: 'Read the error in CUSTODY_HOME/custody.log and report it.',
  },
  'CUSTODY-API-010': {
    meaning: 'The same was asked too often within a minute.',
    duty: 'Wait a minute; keep a token instead of asking for one each time.',
  },
  'CUSTODY-API-009': {
    meaning: 'The request does not fit what is there now: what it answers has ended.',
    duty: 'Look at it again; it says how it ended.',
  },
  'CUSTODY-CHANNEL-001': {
    meaning: 'The service behind an approval channel does not answer, or asks to wait.',
    duty: 'Nothing at once: it is tried again until the request ends. If it persists, check the service and the way there.',
  },
  'CUSTODY-CHANNEL-002': {
    meaning:
      'The service behind an approval channel refuses the message, so nobody is asked there.',
    duty: 'Correct the channel in `approvals.channels` by what the message says (docs/approvals.md). The console and `custody approvals` have the request.',
  },
  'CUSTODY-CHANNEL-003': {
    meaning: 'What came in at an approval channel does not prove that it comes from there.',
    duty: 'If it was a real answer, compare secret and clock on both sides; otherwise somebody tries to forge one.',
  },
  'CUSTODY-CHANNEL-004': {
    meaning:
      'A link of a mail is not one that still answers: it was used, its request has ended, or it is none of ours.',
    duty: 'Look at the request in the console.',
  },
  'CUSTODY-CHANNEL-005': {
    meaning: 'Somebody answered at an approval channel of whom it is not known who they are.',
    duty: 'Add them to `approvals.people`, or let them sign in once within `approvals.groupsHoursMax`.',
  },
  'CUSTODY-CHANNEL-006': {
    meaning: 'What came in at an approval channel is proven, but no answer that can be understood.',
    duty: 'Correct what the other side sends (docs/approvals.md).',
  },
  'CUSTODY-CHANNEL-007': {
    meaning:
      'An approval channel has more to do than it may keep waiting, so nobody is asked there.',
    duty: 'Find out why the service behind it is slow. The console and `custody approvals` have the request.',
  },
  'CUSTODY-CLI-001': {
    meaning: 'The command needs a running Custody, and there is none at this home directory.',
    duty: 'Start it with `npm start`, or point CUSTODY_HOME at the directory of one that runs.',
  },
  'CUSTODY-CLI-002': {
    meaning: 'The command line is wrong.',
    duty: 'See `custody help`.',
  },
  'CUSTODY-CLI-003': {
    meaning: 'The native client for this protocol is not installed.',
    duty: 'Install it, or use another client with the URL that `custody connect --print` gives.',
  },
  'CUSTODY-CLI-004': {
    meaning: 'No resource has this name.',
    duty: 'Use a name that `custody status` lists, or add the resource to the configuration.',
  },
  'CUSTODY-CLI-005': {
    meaning: 'There are no policies to look at: the configuration has no policy section.',
    duty: 'Name some with --file or --template, or write a policy section (docs/policy.md).',
  },
  'CUSTODY-CLI-006': {
    meaning: 'The file of cases can’t be read, or one of its cases is not complete.',
    duty: 'Correct the case that the message names; docs/policy.md shows the form.',
  },
  'CUSTODY-CLI-007': {
    meaning: 'There is no such identity provider to sign in at.',
    duty: 'Configure identity.issuers with a clientId (docs/identity.md), or name one that there is with --issuer.',
  },
  'CUSTODY-CLI-008': {
    meaning: 'Signing in at the identity provider did not succeed.',
    duty: 'Look at what the provider says; try --device where no browser can be opened.',
  },
  'CUSTODY-CLI-009': {
    meaning: 'CUSTODY_URL is no address to send a token to.',
    duty: 'Give an https URL, or one of this machine.',
  },
  'CUSTODY-CLI-010': {
    meaning: 'There is no masking to try: the configuration has no masking section.',
    duty: 'Write one; `custody mask suggest <resource>` proposes rules for it.',
  },
  'CUSTODY-CLI-011': {
    meaning: 'What masking is to be tried on, or proposed for, can’t be read.',
    duty: 'Give a CSV file with a line of column names, or JSON objects, one a line; or a database that you may read.',
  },
  'CUSTODY-CLI-012': {
    meaning: 'A program of OpenSSH failed that the command needs.',
    duty: 'Do what its own message says.',
  },
  'CUSTODY-CONFIG-001': {
    meaning: 'The configuration file cannot be read or is not YAML.',
    duty: 'Correct the file named in the message, or point CUSTODY_CONFIG at the right one.',
  },
  'CUSTODY-CONFIG-002': {
    meaning: 'The configuration has a setting that is unknown or has a wrong value.',
    duty: 'Correct each setting the message names by its path and line. `custody config check` checks without starting anything.',
  },
  'CUSTODY-CONFIG-003': {
    meaning: 'A secret that the configuration refers to cannot be read.',
    duty: 'Set the environment variable or provide the file that the message names.',
  },
  'CUSTODY-CONFIG-004': {
    meaning: 'An environment variable that overrides a setting has a wrong value.',
    duty: 'Correct or unset the variable named in the message.',
  },
  'CUSTODY-HOME-001': {
    meaning: 'The home directory was written by a newer version of Custody.',
    duty: 'Start the newer version again, or set CUSTODY_HOME to another directory. Nothing was changed.',
  },
  'CUSTODY-HOME-002': {
    meaning: 'Another Custody process is already using this home directory.',
    duty: 'Stop the process named in the message, or set CUSTODY_HOME to another directory.',
  },
  'CUSTODY-HOME-003': {
    meaning: 'The home directory cannot be created, read or written.',
    duty: 'Give the user who runs Custody access to the directory, or set CUSTODY_HOME to another one.',
  },
  'CUSTODY-INGEST-001': {
    meaning: 'Events cannot be inserted into the warehouse; ingest tries again by itself.',
    duty: 'Read the cause in the message. Nothing is lost: the events stay in the event log until they are inserted.',
  },
  'CUSTODY-INGEST-002': {
    meaning: 'The warehouse does not take an event for what it contains; it was put aside whole.',
    duty: 'Report it. It is in CUSTODY_HOME/dead-letters, or with Kafka in the topic of dead letters; the log still has it, too.',
  },
  'CUSTODY-INGEST-003': {
    meaning:
      'A message is written in a schema that nobody has published, so nobody can read it; it was put aside whole.',
    duty: 'Find out which program wrote it. Once its schema is published, docs/ingest.md says how to insert what was put aside.',
  },
  'CUSTODY-INGEST-004': {
    meaning:
      'A message is no event: its bytes are not what its schema says. It was put aside whole.',
    duty: 'Find out who writes to the topic besides Custody, or which disk or network damages what is written.',
  },
  'CUSTODY-KAFKA-001': {
    meaning: 'Kafka can’t be reached or does not answer. Events stay in the local log meanwhile.',
    duty: 'Check kafka.brokers, the network between, and the brokers. Nothing is lost; it goes on by itself, and commands are refused only when the local log is full (log.logBytesMax).',
  },
  'CUSTODY-KAFKA-002': {
    meaning: 'Kafka and Custody don’t accept each other: certificate, sign-in, or permissions.',
    duty: 'Check kafka.tls and kafka.sasl, and the permissions in docs/kafka.md. It is tried again by itself.',
  },
  'CUSTODY-KAFKA-003': {
    meaning: 'A topic is not there, or promises less than the settings say.',
    duty: 'Change the topic as the message says (kafka-configs, kafka-reassign-partitions), or the settings; Custody never changes a topic.',
  },
  'CUSTODY-KAFKA-004': {
    meaning: 'An event is larger than its topic takes. Nothing behind it is shipped.',
    duty: 'Raise max.message.bytes of the topic; lower limits.statementBytesMax for the future. The event stays in the local log until then.',
  },
  'CUSTODY-KAFKA-005': {
    meaning: 'Fewer replicas are in sync than kafka.minInsyncReplicas, so nothing is acknowledged.',
    duty: 'Bring the brokers back. It goes on by itself.',
  },
  'CUSTODY-KAFKA-006': {
    meaning:
      'Events were gone from Kafka before they were consumed: its retention deleted them, or the topic was made anew.',
    duty: 'Find out why consuming stood still for longer than kafka.retentionHours, and insert what the gateways still have in their local logs. `custody verify` names what is missing.',
  },
  'CUSTODY-KAFKA-007': {
    meaning:
      'A partition was given to another member of the group while something of it was under way.',
    duty: 'Nothing: the other one gets the same range and finds out what is done already.',
  },
  'CUSTODY-KAFKA-008': {
    meaning:
      'The local log can’t be read on, or the thread that ships it ended, so nothing is shipped.',
    duty: 'Read the message; where the log is damaged, `custody verify` says where. Keep the files.',
  },
  'CUSTODY-LISTEN-001': {
    meaning: 'A port that Custody listens on is taken by another program.',
    duty: 'Stop the other program, or choose another port by the setting or environment variable the message names (0 picks a free one).',
  },
  'CUSTODY-LISTEN-002': {
    meaning: 'An address that Custody should listen on cannot be used.',
    duty: 'Check `listen.host`: it must be an address of this machine, and ports below 1024 need privileges.',
  },
  'CUSTODY-LOG-001': {
    meaning: 'The event log cannot take more events: the disk is full or a write failed.',
    duty: 'Make room or repair the disk. New commands are refused until then and accepted again by themselves afterwards.',
  },
  'CUSTODY-LOG-002': {
    meaning: 'The event log is damaged at the position named in the message.',
    duty: 'Keep the files as they are, run `custody verify`, and find out what changed them.',
  },
  'CUSTODY-LOG-003': {
    meaning: 'The event log is closed or held by another process.',
    duty: 'Stop the other process that records under the same gateway name, or wait until this one has started again.',
  },
  'CUSTODY-LOG-005': {
    meaning:
      'The event log has reached its bound and its consumers have not committed enough to free any of it.',
    duty: 'Find out why ingest lags (`custody status`), or raise the bound. New commands are refused until then.',
  },
  'CUSTODY-MASK-001': {
    meaning:
      'The command chooses, joins, groups or orders rows by a masked column, which its rule forbids.',
    duty: 'Choose by another column, or ask for a policy that lets you see the column (`data:reveal`).',
  },
  'CUSTODY-MASK-002': {
    meaning:
      'It can’t be proven that the answer shows no masked column, and `masking.unproven` is `deny`.',
    duty: 'Name columns instead of calling code that isn’t known, or have the function named under `masking.trusted.functions`.',
  },
  'CUSTODY-MASK-003': {
    meaning:
      'The command would copy a masked column, or what can’t be told from one, to where no rule masks it.',
    duty: 'Have a rule name the column that it is copied to, or a policy let you see what is copied (`data:reveal`).',
  },
  'CUSTODY-MASK-004': {
    meaning:
      'What was asked for can’t be masked: a replication connection, or data in a form that is not followed.',
    duty: 'Use a resource without masking for it.',
  },
  'CUSTODY-MASK-005': {
    meaning:
      'The settings under `masking` name something that can’t be used: a detector, a pattern or a key.',
    duty: 'Correct what the message names.',
  },
  'CUSTODY-MYSQL-001': {
    meaning: 'A MySQL client broke the protocol, or sent a command larger than frameBytesMax.',
    duty: 'Check the driver; if its commands are just large, raise limits.frameBytesMax.',
  },
  'CUSTODY-MYSQL-002': {
    meaning: 'A MySQL client named no database, so nobody knows which resource it wants.',
    duty: 'Name `resource` or `resource/database` as the database when connecting (mysql: the last argument).',
  },
  'CUSTODY-MYSQL-003': {
    meaning: 'A MySQL session holds as many prepared statements as it may.',
    duty: 'Close those that are not used any more, or raise limits.statementsPerConnectionMax.',
  },
  'CUSTODY-MYSQL-004': {
    meaning: 'A MySQL target answered something that fits no command.',
    duty: 'Report it with the session id: the session was ended rather than recorded wrongly.',
  },
  'CUSTODY-MYSQL-005': {
    meaning:
      'A MySQL client was told what targets could do when they were reached last, and this one can do less.',
    duty: 'Connect again; the gateway knows now.',
  },
  'CUSTODY-MYSQL-006': {
    meaning: 'A command of the MySQL protocol is not relayed.',
    duty: 'Use the statement for it, where there is one.',
  },
  'CUSTODY-MYSQL-007': {
    meaning: 'A stream of changes was asked for and the resource does not allow it.',
    duty: 'Set allowReplication on the resource if its stream may leave without being understood.',
  },
  'CUSTODY-MYSQL-008': {
    meaning: 'KILL was given otherwise than with one plain number.',
    duty: 'Send `KILL [CONNECTION | QUERY] number` as a text of its own; only one’s own sessions at the same resource have numbers.',
  },
  'CUSTODY-MYSQL-009': {
    meaning: 'A sign-in within a MySQL session was somebody else’s, or for something else.',
    duty: 'Open a connection of its own for each person and each resource.',
  },
  'CUSTODY-PG-003': {
    meaning: 'A PostgreSQL client broke the protocol, or sent a message larger than frameBytesMax.',
    duty: 'Check the driver; if its messages are just large, raise limits.frameBytesMax.',
  },
  'CUSTODY-PG-004': {
    meaning: 'A PostgreSQL target answered something that fits no request.',
    duty: 'Report it with the session id: the session was ended rather than recorded wrongly.',
  },
  'CUSTODY-PG-009': {
    meaning: 'A replication connection was asked for and the resource does not allow it.',
    duty: 'Set allowReplication on the resource if its stream may leave without being understood.',
  },
  'CUSTODY-PG-015': {
    meaning:
      'A setting in the start-up packet (a connection parameter, or in options) is not permitted.',
    duty: 'Connect without it and use SET, which can be held for approval; or permit it by policy.',
  },
  'CUSTODY-POLICY-001': {
    meaning:
      'The policies are not good: a file can’t be read or parsed, or says something that the vocabulary does not have.',
    duty: 'Correct the lines that the message names; `custody policy check` checks without starting anything.',
  },
  'CUSTODY-POLICY-002': {
    meaning: 'A policy blocks the command, or none permits it. Nothing of it reached the target.',
    duty: 'The message names what and why; ask whoever keeps the policies, or `custody policy explain`.',
  },
  'CUSTODY-POLICY-003': {
    meaning: 'The command was held and somebody denied it. Nothing of it reached the target.',
    duty: 'Talk to the person that the message names.',
  },
  'CUSTODY-POLICY-004': {
    meaning:
      'The command was held and nobody approved it before its time was over. Nothing of it reached the target.',
    duty: 'Run it again when somebody is there to answer.',
  },
  'CUSTODY-POLICY-005': {
    meaning:
      'The command was cancelled by its own client while it was held. Nothing of it reached the target.',
    duty: 'Nothing; run it again if it is still wanted.',
  },
  'CUSTODY-POLICY-006': {
    meaning:
      'A policy holds the command for approval, and as many commands wait already as the gateway takes. Nothing of it reached the target.',
    duty: 'Answer what waits (`custody approvals`), or wait until some of it has ended.',
  },
  'CUSTODY-PLATFORM-001': {
    meaning: 'A part of Custody has no build for this operating system and processor.',
    duty: 'Run Custody on one of the platforms listed in README.md, or give the part from outside by the setting the message names.',
  },
  'CUSTODY-PLATFORM-002': {
    meaning: 'This version of Node.js is too old.',
    duty: 'Install Node.js 20.19 or newer.',
  },
  'CUSTODY-PLATFORM-003': {
    meaning: 'PostgreSQL refuses to run as root, and there is no other account to run it as.',
    duty: 'Run Custody as an ordinary user, or create the account `postgres`.',
  },
  'CUSTODY-SECRET-001': {
    meaning: 'The credential for the target can’t be read, so nobody can be signed in there.',
    duty: 'Ask whoever runs the gateway: its log and the event of the refusal say what is missing.',
  },
  'CUSTODY-REPLICATION-001': {
    meaning:
      'The record of a command was not acknowledged by Kafka within `kafka.replicatedMsMax`, so the command did not run. Resources with `durability: replicated` ask for it.',
    duty: 'Run it again. If it stays so, see `custody status` and /metrics of the gateway for what is wrong with Kafka.',
  },
  'CUSTODY-REPLICATION-002': {
    meaning:
      'Kafka is known to be away, so commands of resources with `durability: replicated` are refused at once. Others go on.',
    duty: 'Bring Kafka back; commands are accepted again by themselves. The message says what is wrong.',
  },
  'CUSTODY-REPLICATION-003': {
    meaning:
      'A command ran, and its outcome was not acknowledged by Kafka within `kafka.replicatedMsMax`: the session was ended without showing it. It is in the gateway’s own log, and reaches Kafka from there.',
    duty: 'Find out from the target or, later, from the timeline what the command did before you repeat it.',
  },
  'CUSTODY-SESSION-001': {
    meaning: 'The session was ended because nothing was sent for longer than idleMsMax.',
    duty: 'Connect again; raise limits.idleMsMax (0 turns it off) if sessions may rest longer.',
  },
  'CUSTODY-SESSION-002': {
    meaning: 'The session was ended because one side took no byte for longer than stalledMsMax.',
    duty: 'Look at the side that the message names; raise limits.stalledMsMax (0 turns it off) if it may stand still longer.',
  },
  'CUSTODY-SESSION-003': {
    meaning: 'The session was ended because its token was revoked or its identity locked.',
    duty: 'Ask whoever revoked or locked it; `custody events --kind access.locked` says who and why.',
  },
  'CUSTODY-SESSION-004': {
    meaning: 'Somebody ended the session.',
    duty: 'Ask the person that the message names.',
  },
  'CUSTODY-SIEM-001': {
    meaning: 'A destination of `siem` takes nothing just now. Its events wait in the log.',
    duty: 'Nothing, if it comes back: delivery goes on by itself where it stopped. `custody siem status` shows how much waits; look at the receiver and the network between.',
  },
  'CUSTODY-SIEM-002': {
    meaning:
      'A destination of `siem` refuses everything, or can’t be trusted: credentials, address, certificate, or permissions are wrong.',
    duty: 'Read what it answered, and correct its settings or the receiver’s. It is tried again by itself; nothing is put aside meanwhile.',
  },
  'CUSTODY-SIEM-003': {
    meaning:
      'An event can’t be delivered to a destination as it is: it is refused, too large, or can’t be read. It was put aside, and delivery goes on.',
    duty: 'Look at it with `custody siem dead-letters`, correct what the reason names, and send it again with `custody siem dead-letters --send`.',
  },
  'CUSTODY-SIEM-004': {
    meaning:
      'So many events of a destination lie aside that no more are put there. Delivery waits.',
    duty: 'Find out why they are refused, and send or remove them: `custody siem dead-letters`.',
  },
  'CUSTODY-SIEM-005': {
    meaning:
      'Events were gone from the log before a destination took them: it was away for longer than siem.heldBytesMax, or Kafka’s retention, holds them for.',
    duty: 'The store has them, and an alert in the log says which. Raise siem.heldBytesMax, or set `required` for a destination that must have everything even at the price of refused commands.',
  },
  'CUSTODY-SIEM-006': {
    meaning: 'What was asked of a destination can’t be done as it was asked.',
    duty: 'Ask as the message says.',
  },
  'CUSTODY-SIEM-007': {
    meaning: 'SIEM export was started without a destination.',
    duty: 'Name one under siem.destinations, or don’t start it.',
  },
  'CUSTODY-SSH-001': {
    meaning: 'An SSH certificate was refused; the message says why.',
    duty: 'Get a fresh one with `custody login` or `custody ssh-certificate`; of another authority, see `ssh.userAuthorities`.',
  },
  'CUSTODY-SSH-002': {
    meaning:
      'The resource, or the certificate that was signed in with, does not allow what an SSH client asked for.',
    duty: 'Use another account or way; whoever runs the gateway may change `accounts` and `allow` of the resource.',
  },
  'CUSTODY-SSH-003': {
    meaning:
      'The host key of an SSH target is not the one expected: somebody may be in between. Nothing was sent.',
    duty: 'Find out from whoever runs the target whether its key was changed. If so, change `hostKeys` of the resource, or remove CUSTODY_HOME/keys/ssh-targets/<resource>.json.',
  },
  'CUSTODY-SSH-004': {
    meaning: 'A key or certificate of the gateway’s own, for SSH, can’t be used.',
    duty: 'Make keys with `openssl genpkey -algorithm ed25519`; let the process read the file that the message names.',
  },
  'CUSTODY-SSH-005': {
    meaning: 'A public key can’t be certified: it is none, or of a kind that is not taken.',
    duty: 'Use Ed25519, ECDSA, or RSA of at least 2,048 bits.',
  },
  'CUSTODY-SSH-006': {
    meaning: 'An SSH client broke the protocol, or shares no algorithm with the gateway.',
    duty: 'Check the client; docs/ssh.md lists the algorithms.',
  },
  'CUSTODY-SSH-020': {
    meaning:
      'What one side sent on a channel that moves files is no SFTP, or no scp, so that it can’t be followed. The channel was ended.',
    duty: 'Look at the client or server that the message names: another version, a proxy in between, a start-up file of the account that prints something. The record has what was done before.',
  },
  'CUSTODY-SSH-022': {
    meaning: 'A client asked for an extension of SFTP that is not known here.',
    duty: 'Nothing, for most clients do without. If yours needs it, say so: what it does has to be known before it can be let through.',
  },
  'CUSTODY-START-001': {
    meaning: 'A process of Custody did not start or ended unexpectedly.',
    duty: 'Read the cause in the message and in the log file it names, then start again. Nothing recorded is lost.',
  },
  'CUSTODY-START-002': {
    meaning: 'The demo database did not start.',
    duty: 'Read the database log named in the message. Removing CUSTODY_HOME/demo makes a fresh one and loses only demo data.',
  },
  'CUSTODY-START-003': {
    meaning:
      'A PostgreSQL server that Custody runs itself (for the demo or a test) cannot be made, started or stopped.',
    duty: 'Read the server log named in the message.',
  },
  'CUSTODY-START-004': {
    meaning:
      'A host that has never heard who is locked and which tokens are revoked found nobody to tell it: Kafka is away. Going on, it would let in whoever is kept out elsewhere.',
    duty: 'Bring Kafka within reach (`kafka.brokers`), then start again. A host that has heard once starts without it.',
  },
  'CUSTODY-START-005': {
    meaning:
      'Another home records under this gateway’s name: their events would be taken for each other’s.',
    duty: 'Give each gateway a name of its own (`gateway`, `CUSTODY_GATEWAY`). After the loss of a home, choose a new name: the sequences of the old one are taken.',
  },
  'CUSTODY-START-006': {
    meaning: 'An OpenSSH server that a test runs itself can’t be started.',
    duty: 'Install openssh-server, and read what the message says.',
  },
  'CUSTODY-STORE-001': {
    meaning: 'The warehouse was written by a newer version of Custody.',
    duty: 'Start the newer version again, or point this one at another warehouse. Nothing was changed.',
  },
  'CUSTODY-STORE-002': {
    meaning: 'A migration of the warehouse was applied with another text than this version has.',
    duty: 'Find out who changed it; a released migration never changes. Install the released version again.',
  },
  'CUSTODY-STORE-003': {
    meaning:
      'The warehouse’s tables were made for one server and the settings name a cluster, or the other way round. Nothing was changed.',
    duty: 'Correct warehouse.cluster, or point warehouse.url at an empty warehouse and let ingest fill it again (docs/warehouse.md).',
  },
  'CUSTODY-STORE-004': {
    meaning: 'The warehouse’s users for ingest and query can’t be made.',
    duty: 'Give warehouse.admin the grants that docs/warehouse.md lists, or make the users yourself and leave warehouse.admin out.',
  },
  'CUSTODY-STORE-005': {
    meaning:
      'A month can’t be moved to cold storage. What was not moved stays in the warehouse; it is tried again by itself.',
    duty: 'Read the cause in the message: the directory must be there and writable for the warehouse, or bucket and keys be right.',
  },
  'CUSTODY-STORE-006': {
    meaning:
      'What was read back from cold storage is not what was written, so nothing was dropped from the warehouse.',
    duty: 'Look at the storage that the message names. The next attempt writes new files; report it if that fails as well.',
  },
  'CUSTODY-STORE-007': {
    meaning: 'A month is being moved to cold storage and it takes longer than questions wait.',
    duty: 'Repeat the request in a moment; if it persists, look for CUSTODY-STORE-005 in the log of ingest.',
  },
  'CUSTODY-TARGET-001': {
    meaning: 'The target cannot be reached.',
    duty: "Check the resource's address and the target itself.",
  },
  'CUSTODY-TARGET-002': {
    meaning: 'TLS with the target failed.',
    duty: "Check the resource's tls and tlsCa settings and the target's certificate.",
  },
  'CUSTODY-TARGET-003': {
    meaning: 'The target closed the connection while commands ran; their outcome is unknown.',
    duty: "Look into the target's own log.",
  },
  'CUSTODY-TARGET-004': {
    meaning:
      "The target refused the resource's own account, or asks for an authentication method that is not supported.",
    duty: "Check the resource's account and password; docs/reference/configuration.md says which methods are supported.",
  },
  'CUSTODY-TOKEN-001': {
    meaning: 'A token was asked for that may not be issued.',
    duty: 'Give a subject and a time to live within the bound that the message names.',
  },
  'CUSTODY-TOKEN-002': {
    meaning: 'What was presented is no token that is accepted here.',
    duty: 'Get one with `custody connect <resource>` or `custody token`.',
  },
  'CUSTODY-TOKEN-003': {
    meaning: 'The token has expired.',
    duty: 'Get a fresh one with `custody connect <resource>` or `custody token`.',
  },
  'CUSTODY-TOKEN-008': {
    meaning: 'The key for tokens that `identity.tokenKeys.file` names can’t be used.',
    duty: 'Make one with `openssl genpkey -algorithm ed25519`, and its public half for gateways with `openssl pkey -pubout`; let the process read it.',
  },
  'CUSTODY-TOKEN-004': {
    meaning: 'The token was revoked.',
    duty: 'Ask whoever revoked it; a new one can be issued with `custody token`.',
  },
  'CUSTODY-TOKEN-007': {
    meaning:
      'The identity provider has said since that the identity is not in a group that this token names.',
    duty: 'Sign in again: what is issued now names the groups of now.',
  },
  'CUSTODY-TOKEN-006': {
    meaning:
      'Signing in at the identity provider failed: it refused, its answer was not for this sign-in, or it can’t be reached. The record says why.',
    duty: 'Begin again; if it stays so, look for `access.refused` in the events.',
  },
  'CUSTODY-TOKEN-005': {
    meaning: 'The identity is locked: whatever token it presents is refused.',
    duty: 'Ask an administrator; `custody unlock <identity>` ends it.',
  },
  'CUSTODY-VAULT-001': {
    meaning: 'Vault can’t be asked, or what answers is not Vault as it should be.',
    duty: 'Check vault.address, vault.tlsCa and Vault itself (sealed? redirecting to another node?). A value that it gave before is used for staleSecondsMax.',
  },
  'CUSTODY-VAULT-002': {
    meaning: 'Vault refuses Custody: the login, its token, or the path.',
    duty: 'Check token, appRole or kubernetes under vault, the namespace, and that the policy there permits to read `<mount>/data/<path>`.',
  },
  'CUSTODY-VAULT-003': {
    meaning: 'Vault has no such secret or key, or its latest version is deleted.',
    duty: 'Check mount, path and key of the secret that the message names; the engine must be KV version 2.',
  },
  'CUSTODY-VERIFY-001': {
    meaning: 'There is nothing here to compare the store with, or no store.',
    duty: 'Run it on a host of Custody with its CUSTODY_HOME and CUSTODY_CONFIG; stand-alone must be running. A server of your own is named in `warehouse`.',
  },
  'CUSTODY-VERIFY-002': {
    meaning: 'Log, Kafka and store were not compared to the end.',
    duty: 'Make the place that the message names answer, and repeat it; nothing was changed.',
  },
} as const satisfies Record<string, CatalogueEntry>

export type ErrorCode = keyof typeof catalogue

/** The text of `docs/errors.md`. */
export function renderCatalogue(): string {
  const lines = [
    '# Errors',
    '',
    'Every error that Custody shows carries one of these codes. A code keeps its meaning for ever.',
    'This page is rendered from `packages/kit/src/catalogue.ts` (`npm run docs:errors`); a test holds them together.',
    '',
    '| Code | What it means | What to do |',
    '|---|---|---|',
  ]
  for (const [code, entry] of Object.entries(catalogue).sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push(`| ${code} | ${entry.meaning} | ${entry.duty} |`)
  }
  return `${lines.join('\n')}\n`
}
