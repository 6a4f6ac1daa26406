-- One row a `progress` record of the topic `model`; copies are told apart as in `decisions`.
CREATE TABLE IF NOT EXISTS model_progress
(
    task            LowCardinality(String)         COMMENT 'Identity, with the next three: ctr or cvr',
    model           LowCardinality(String)         COMMENT 'ftrl (ours), river-lr (standing challenger), mean (null model)',
    version         Int64 CODEC(Delta, ZSTD)       COMMENT 'Offset in examples after the last one learned',
    scored_share    Float64                        COMMENT 'Share of the examples this is counted over: compare models of one share only',
    ts_ms           Int64 EPHEMERAL                COMMENT 'Insert only: becomes ts',
    ts              DateTime64(3, 'UTC') DEFAULT fromUnixTimestamp64Milli(ts_ms, 'UTC') CODEC(Delta, ZSTD)
                                                   COMMENT 'Event time of the newest example',
    examples        Int64 CODEC(Delta, ZSTD),
    positives       Int64 CODEC(Delta, ZSTD),
    log_loss        Nullable(Float64)              COMMENT 'Progressive, nats an example, weighted',
    auc             Nullable(Float64)              COMMENT 'Area under the ROC curve of the newest examples',
    calibration     Nullable(Float64)              COMMENT 'Sum of predictions / sum of labels, weighted',
    learned_share   Float64                        COMMENT 'Share of the examples that the model learned from',
    weight_sum      Float64                        COMMENT 'With the next three, what the figures go on from after a restart',
    loss_sum        Float64,
    prediction_sum  Float64,
    label_sum       Float64,
    topic_partition UInt16                         COMMENT 'Kafka partition of the record',
    topic_offset    Int64 CODEC(Delta, ZSTD)       COMMENT 'Kafka offset of the record',
    recency         Int64 MATERIALIZED -topic_offset CODEC(Delta, ZSTD) COMMENT 'The highest is the copy that counts'
)
ENGINE = ReplacingMergeTree(recency)
PARTITION BY toYYYYMM(ts)
ORDER BY (task, model, scored_share, version)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Progressive quality of the models; may hold copies, see unique_model_progress';

CREATE VIEW IF NOT EXISTS unique_model_progress AS SELECT * FROM model_progress FINAL
COMMENT 'One row a model and version';
