-- One row a record of the topic `dead-letters`; copies are told apart as in `decisions`.
CREATE TABLE IF NOT EXISTS dead_letters
(
    source_topic     LowCardinality(String)        COMMENT 'Identity, with the next two: where the event was',
    source_partition UInt16,
    source_offset    Int64 CODEC(Delta, ZSTD),
    ts_ms            Int64 EPHEMERAL               COMMENT 'Insert only: becomes ts',
    ts               DateTime64(3, 'UTC') DEFAULT fromUnixTimestamp64Milli(ts_ms, 'UTC') CODEC(Delta, ZSTD)
                                                   COMMENT 'When the broker got it',
    reason           LowCardinality(String)        COMMENT 'What was expected and what came; holds no value of the event',
    raw_base64       String EPHEMERAL              COMMENT 'Insert only: becomes raw; JSON cannot carry every byte',
    raw              String DEFAULT base64Decode(raw_base64) CODEC(ZSTD) COMMENT 'The bytes as they came; may hold personal data',
    topic_partition  UInt16                        COMMENT 'Kafka partition of the record',
    topic_offset     Int64 CODEC(Delta, ZSTD)      COMMENT 'Kafka offset of the record',
    recency          Int64 MATERIALIZED -topic_offset CODEC(Delta, ZSTD) COMMENT 'The highest is the copy that counts'
)
ENGINE = ReplacingMergeTree(recency)
PARTITION BY toYYYYMM(ts)
ORDER BY (source_topic, source_partition, source_offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Events that could not be used; may hold copies, see unique_dead_letters';

CREATE VIEW IF NOT EXISTS unique_dead_letters AS SELECT * FROM dead_letters FINAL
COMMENT 'One row an event that could not be used';
