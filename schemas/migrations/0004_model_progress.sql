-- One row a `progress` record of the topic `model`; copies are told apart as in `decisions`.
CREATE TABLE IF NOT EXISTS model_progress
(
    task            LowCardinality(String)         COMMENT 'Identity, with the next two: ctr or cvr',
    model           LowCardinality(String)         COMMENT 'ftrl (ours), river-lr (standing challenger), mean (null model)',
    version         Int64 CODEC(Delta, ZSTD)       COMMENT 'Offset in examples after the last one learned',
    ts_ms           Int64 EPHEMERAL                COMMENT 'Insert only: becomes ts',
    ts              DateTime64(3, 'UTC') DEFAULT fromUnixTimestamp64Milli(ts_ms, 'UTC') CODEC(Delta, ZSTD)
                                                   COMMENT 'Event time of the newest example',
    examples        Int64 CODEC(Delta, ZSTD),
    positives       Int64 CODEC(Delta, ZSTD),
    log_loss        Float64                        COMMENT 'Progressive, nats an example',
    auc             Float64                        COMMENT 'Rolling area under the ROC curve',
    calibration     Float64                        COMMENT 'Sum of predictions / sum of labels',
    topic_partition UInt16                         COMMENT 'Kafka partition of the record',
    topic_offset    Int64 CODEC(Delta, ZSTD)       COMMENT 'Kafka offset of the record',
    recency         Int64 MATERIALIZED -topic_offset CODEC(Delta, ZSTD) COMMENT 'The highest is the copy that counts'
)
ENGINE = ReplacingMergeTree(recency)
PARTITION BY toYYYYMM(ts)
ORDER BY (task, model, version)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Progressive quality of the models; may hold copies, see unique_model_progress';

CREATE VIEW IF NOT EXISTS unique_model_progress AS SELECT * FROM model_progress FINAL
COMMENT 'One row a model and version';
