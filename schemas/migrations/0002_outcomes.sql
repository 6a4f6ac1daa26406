-- One row a record of the topic `outcomes`; copies are told apart as in `decisions`.
CREATE TABLE IF NOT EXISTS outcomes
(
    outcome_id      String CODEC(ZSTD)             COMMENT 'Identity: <kind>-<topic>-<partition>-<offset> of the event that caused it',
    kind            LowCardinality(String)         COMMENT 'exposure, click, purchase or refund',
    ts_ms           Int64 EPHEMERAL                COMMENT 'Insert only: becomes ts',
    ts              DateTime64(3, 'UTC') DEFAULT fromUnixTimestamp64Milli(ts_ms, 'UTC') CODEC(Delta, ZSTD)
                                                   COMMENT 'Event time of the cause',
    shop_id         LowCardinality(String),
    decision_id     String CODEC(ZSTD)             COMMENT 'The decision it belongs to; empty for another system''s choice',
    exposure_id     String CODEC(ZSTD)             COMMENT 'views-<partition>-<offset> of the exposure, ours or another system''s',
    user_id         String CODEC(ZSTD),
    ad_id           LowCardinality(String),
    promotion_id    LowCardinality(String),
    campaign_id     LowCardinality(String),
    slot_id         LowCardinality(String)         COMMENT 'Of exposures only, as position and propensity',
    position        UInt16                         COMMENT 'Rank on the page, 1 is the top; 0 is unknown',
    propensity      Float64                        COMMENT 'Stated by the other system; 0 for our decisions, whose row has it',
    revenue_micros  Int64 CODEC(ZSTD)              COMMENT 'Of the order, in millionths of the base currency; negative for a refund',
    delay_ms        Int64 CODEC(ZSTD)              COMMENT 'Exposure to click, or click to order',
    order_id        String CODEC(ZSTD),
    topic_partition UInt16                         COMMENT 'Kafka partition of the record',
    topic_offset    Int64 CODEC(Delta, ZSTD)       COMMENT 'Kafka offset of the record',
    recency         Int64 MATERIALIZED -topic_offset CODEC(Delta, ZSTD) COMMENT 'The highest is the copy that counts',
    INDEX decision_id decision_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(recency)
PARTITION BY toYYYYMM(ts)
ORDER BY (shop_id, toStartOfHour(ts), outcome_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What became of decisions; may hold copies, see unique_outcomes';

CREATE VIEW IF NOT EXISTS unique_outcomes AS SELECT * FROM outcomes FINAL
COMMENT 'One row an outcome: its first copy';
