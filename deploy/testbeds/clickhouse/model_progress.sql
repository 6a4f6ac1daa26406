-- schemas/migrations/0004_model_progress.sql, reduced as outcomes.sql is.
CREATE TABLE model_progress
(
    task            String,
    model           String,
    version         Int64,
    scored_share    Float64,
    ts_ms           Int64,
    examples        Int64,
    positives       Int64,
    log_loss        Nullable(Float64),
    auc             Nullable(Float64),
    calibration     Nullable(Float64),
    learned_share   Float64,
    weight_sum      Float64,
    loss_sum        Float64,
    prediction_sum  Float64,
    label_sum       Float64,
    topic_partition UInt16,
    topic_offset    Int64,
    recency         UInt64 MATERIALIZED toUInt64(9223372036854775807 - topic_offset)
)
ENGINE = ReplacingMergeTree(recency)
ORDER BY (task, model, scored_share, version)
