-- An event of a newer version than the ingest that stored it: the whole message, while the columns hold what that ingest knew
-- of it. A newer ingest completes the row and empties this (docs/decisions/0016-exactly-one-row.md).
ALTER TABLE custody.events ADD COLUMN IF NOT EXISTS unread String CODEC(ZSTD(1));
ALTER TABLE custody.events ADD INDEX IF NOT EXISTS by_unread (unread != '') TYPE minmax GRANULARITY 1;
-- Of so many of the last inserts it is known by their tokens that they were done, so that one whose sender was believed gone,
-- and was not, has no effect. On replicated tables `replicated_deduplication_window` says the same.
ALTER TABLE custody.events MODIFY SETTING non_replicated_deduplication_window = 10000;
