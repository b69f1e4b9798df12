CREATE DATABASE IF NOT EXISTS custody ON CLUSTER main;

CREATE TABLE IF NOT EXISTS custody.migrations ON CLUSTER main
(number UInt32, name String, digest String, applied DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ReplicatedMergeTree('/clickhouse/tables/main/all/custody/migrations', '{shard}-{replica}') ORDER BY number SETTINGS fsync_after_insert = 1;

CREATE TABLE IF NOT EXISTS custody.events_local ON CLUSTER main
(
    id FixedString(16) CODEC(ZSTD(1)),
    previous FixedString(32) CODEC(NONE),
    time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    kind LowCardinality(String),
    recorder LowCardinality(String),
    sequence Int64 CODEC(DoubleDelta, ZSTD(1)),
    session FixedString(16) CODEC(ZSTD(1)),
    ordinal Int64 CODEC(Delta, ZSTD(1)),
    command FixedString(16) CODEC(ZSTD(1)),
    parent FixedString(16) CODEC(ZSTD(1)),
    who Tuple(
        subject LowCardinality(String),
        issuer LowCardinality(String),
        email LowCardinality(Nullable(String)),
        name LowCardinality(Nullable(String)),
        groups Array(LowCardinality(String)),
        kind LowCardinality(String),
        method LowCardinality(String),
        tokenId Nullable(String),
        authenticatedAt Nullable(DateTime64(6, 'UTC')),
        onBehalfOf Array(Tuple(
            subject String,
            issuer String,
            kind String))) CODEC(ZSTD(1)),
    path Tuple(
        clientAddress LowCardinality(Nullable(String)),
        clientPort Nullable(Int32),
        clientApplication LowCardinality(Nullable(String)),
        clientTls Tuple(
            version LowCardinality(String),
            cipher LowCardinality(Nullable(String)),
            serverName LowCardinality(Nullable(String)),
            peer Nullable(String)),
        via Array(String),
        gateway LowCardinality(String),
        gatewayAddress LowCardinality(Nullable(String)),
        agent LowCardinality(Nullable(String)),
        resource LowCardinality(String),
        protocol LowCardinality(String),
        target LowCardinality(Nullable(String)),
        targetTls Tuple(
            version LowCardinality(String),
            cipher LowCardinality(Nullable(String)),
            serverName LowCardinality(Nullable(String)),
            peer Nullable(String)),
        account LowCardinality(Nullable(String)),
        database LowCardinality(Nullable(String))) CODEC(ZSTD(1)),
    decision Tuple(
        outcome LowCardinality(String),
        policies Array(LowCardinality(String)),
        version LowCardinality(Nullable(String)),
        reason Nullable(String),
        evaluationMicros Int64,
        approval Nullable(FixedString(16))) CODEC(ZSTD(1)),
    statement Tuple(
        language LowCardinality(String),
        interface LowCardinality(String),
        text String,
        textBytes Int64,
        textDigest Nullable(FixedString(32)),
        parameters Array(Tuple(
            name Nullable(String),
            type LowCardinality(String),
            value Nullable(String),
            bytes Int64,
            cut Bool)),
        fingerprint LowCardinality(Nullable(String)),
        verbs Array(LowCardinality(String)),
        objects Array(Tuple(
            kind LowCardinality(String),
            name String,
            verb LowCardinality(String))),
        understood Bool,
        problem Nullable(String),
        `index` Int32,
        count Int32,
        attributes Map(String, String)) CODEC(ZSTD(1)),
    response Tuple(
        status LowCardinality(String),
        code LowCardinality(Nullable(String)),
        message Nullable(String),
        tag LowCardinality(Nullable(String)),
        rows Nullable(Int64),
        bytes Int64,
        digest Nullable(FixedString(32)),
        durationMicros Int64,
        firstByteMicros Nullable(Int64),
        columns Array(Tuple(
            name LowCardinality(String),
            type LowCardinality(String),
            source LowCardinality(Nullable(String)))),
        inputBytes Int64,
        inputDigest Nullable(FixedString(32)),
        recordedBytes Int64) CODEC(ZSTD(1)),
    output Tuple(
        stream LowCardinality(String),
        offset Int64,
        data String,
        encoding LowCardinality(String),
        omittedBytes Int64) CODEC(ZSTD(1)),
    masks Array(Tuple(
        rule String,
        column Nullable(String),
        detector Nullable(String),
        action String,
        count Int64)) CODEC(ZSTD(1)),
    approval Tuple(
        request FixedString(16),
        state LowCardinality(String),
        approver Tuple(
            subject String,
            issuer String,
            email Nullable(String),
            name Nullable(String),
            groups Array(String),
            kind String,
            method String,
            tokenId Nullable(String),
            authenticatedAt Nullable(DateTime64(6, 'UTC')),
            onBehalfOf Array(Tuple(
                subject String,
                issuer String,
                kind String))),
        channel LowCardinality(Nullable(String)),
        comment Nullable(String),
        expires Nullable(DateTime64(6, 'UTC')),
        waitedMicros Int64,
        required Int32) CODEC(ZSTD(1)),
    lifecycle Tuple(
        state LowCardinality(String),
        reason Nullable(String),
        commands Int64,
        events Int64,
        bytesIn Int64,
        bytesOut Int64,
        durationMicros Int64,
        attributes Map(String, String)) CODEC(ZSTD(1)),
    access Tuple(
        action LowCardinality(String),
        outcome LowCardinality(String),
        code LowCardinality(Nullable(String)),
        reason Nullable(String),
        credential Nullable(String),
        tokenId Nullable(String),
        expires Nullable(DateTime64(6, 'UTC'))) CODEC(ZSTD(1)),
    audit Tuple(
        action LowCardinality(String),
        subject String,
        query Nullable(String),
        results Int64,
        durationMicros Int64) CODEC(ZSTD(1)),
    configuration Tuple(
        subject String,
        before Nullable(FixedString(32)),
        after Nullable(FixedString(32)),
        change Nullable(String)) CODEC(ZSTD(1)),
    recording Tuple(
        state LowCardinality(String),
        version LowCardinality(Nullable(String)),
        detail Nullable(String),
        cutBytes Int64,
        openSessions Int64,
        head Nullable(FixedString(32)),
        signature Nullable(String),
        keyId Nullable(String)) CODEC(ZSTD(1)),
    INDEX by_id id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_sequence sequence TYPE minmax GRANULARITY 1,
    INDEX by_session session TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_command command TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_kind kind TYPE set(32) GRANULARITY 1,
    INDEX by_subject who.subject TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_object arrayMap(one -> lowerUTF8(splitByChar('.', one)[-1]), statement.objects.name) TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_text lowerUTF8(statement.text) TYPE ngrambf_v1(4, 32768, 3, 0) GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/main/{shard}/custody/events_local', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (time, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS custody.events ON CLUSTER main AS custody.events_local ENGINE = Distributed('main', 'custody', 'events_local', cityHash64(if(session = toFixedString('', 16), toString(recorder), toString(session))));

CREATE VIEW IF NOT EXISTS custody.sessions ON CLUSTER main AS
SELECT
    session AS id,
    minIf(time, kind = 'session.opened') AS opened,
    maxIf(time, kind = 'session.closed') AS closed,
    if(countIf(kind = 'session.closed') = 0, 'open', anyIf(lifecycle.state, kind = 'session.closed')) AS state,
    any(who.subject) AS subject,
    any(who.issuer) AS issuer,
    any(path.resource) AS resource,
    any(path.protocol) AS protocol,
    any(path.clientAddress) AS client_address,
    countIf(kind = 'command.started') AS commands,
    countIf(kind = 'command.completed' AND response.status NOT IN ('ok', 'suspended')) AS failed,
    sumIf(response.rows, kind = 'command.completed') AS rows,
    count() AS events,
    max(time) AS last_event
FROM custody.events
WHERE session != toFixedString('', 16)
GROUP BY session;

CREATE TABLE IF NOT EXISTS custody.cold ON CLUSTER main
(
    run String,
    attempt String,
    month UInt32,
    step LowCardinality(String),
    noted DateTime64(6, 'UTC') DEFAULT now64(6),
    rows UInt64,
    dropped UInt64,
    place String,
    files Array(Tuple(
        relation String,
        name String,
        keep_days UInt32,
        rows UInt64,
        bytes UInt64,
        first DateTime64(6, 'UTC'),
        last DateTime64(6, 'UTC'),
        digest String,
        sha256 String))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/main/all/custody/cold', '{shard}-{replica}')
ORDER BY (run, noted)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE custody.events_local ON CLUSTER main ADD COLUMN IF NOT EXISTS unread String CODEC(ZSTD(1));

ALTER TABLE custody.events ON CLUSTER main ADD COLUMN IF NOT EXISTS unread String CODEC(ZSTD(1));

ALTER TABLE custody.events_local ON CLUSTER main ADD INDEX IF NOT EXISTS by_unread (unread != '') TYPE minmax GRANULARITY 1;

ALTER TABLE custody.events_local ON CLUSTER main MODIFY SETTING non_replicated_deduplication_window = 10000;

ALTER TABLE custody.events_local ON CLUSTER main ADD INDEX IF NOT EXISTS by_words lowerUTF8(statement.text) TYPE text(tokenizer = ngrams(4));

ALTER TABLE custody.events_local ON CLUSTER main DROP INDEX IF EXISTS by_text;

ALTER TABLE custody.events_local ON CLUSTER main MATERIALIZE INDEX by_words;

CREATE TABLE IF NOT EXISTS custody.moving_run1_local ON CLUSTER main AS custody.events_local ENGINE = ReplicatedMergeTree('/clickhouse/tables/main/{shard}/custody/moving_run1_local', '{replica}') PARTITION BY toYYYYMM(time) ORDER BY (time, id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS custody.moving_run1 ON CLUSTER main AS custody.moving_run1_local ENGINE = Distributed('main', 'custody', 'moving_run1_local', cityHash64(if(session = toFixedString('', 16), toString(recorder), toString(session))));
