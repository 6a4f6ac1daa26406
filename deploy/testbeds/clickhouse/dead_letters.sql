-- schemas/migrations/0003_dead_letters.sql, reduced as outcomes.sql is.
CREATE TABLE dead_letters
(
    source_topic     String,
    source_partition UInt16,
    source_offset    Int64,
    ts_ms            Int64,
    reason           String,
    raw_base64       String,
    topic_partition  UInt16,
    topic_offset     Int64,
    recency          UInt64 MATERIALIZED toUInt64(9223372036854775807 - topic_offset)
)
ENGINE = ReplacingMergeTree(recency)
ORDER BY (source_topic, source_partition, source_offset)
