-- The table of schemas/migrations 0002 and 0006 for Debian's server of 2018, which has no DateTime64, codecs,
-- EPHEMERAL columns or deduplication tokens, and whose ReplacingMergeTree goes by an unsigned version.
CREATE TABLE outcomes
(
    outcome_id      String,
    kind            String,
    ts_ms           Int64,
    shop_id         String,
    decision_id     String,
    exposure_id     String,
    user_id         String,
    ad_id           String,
    promotion_id    String,
    campaign_id     String,
    slot_id         String,
    position        UInt16,
    propensity      Float64,
    revenue_micros  Int64,
    delay_ms        Int64,
    order_id        String,
    invalid         String,
    topic_partition UInt16,
    topic_offset    Int64,
    recency         UInt64 MATERIALIZED toUInt64(9223372036854775807 - topic_offset)
)
ENGINE = ReplacingMergeTree(recency)
ORDER BY (shop_id, outcome_id)
