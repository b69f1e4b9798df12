-- What became of months that were moved to files, one row for each step that was taken: never changed, only added to.
-- A run moves one month once; late events of it are moved by a run of their own.
CREATE TABLE IF NOT EXISTS custody.cold
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
ENGINE = MergeTree
ORDER BY (run, noted)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
