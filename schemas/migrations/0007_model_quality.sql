-- One row an hour of a model and segment: of several reports of the running hour the newest counts.
CREATE TABLE IF NOT EXISTS model_quality
(
    task             LowCardinality(String)        COMMENT 'Identity, with the next three: ctr or cvr',
    model            LowCardinality(String)        COMMENT 'ftrl (as learned), ftrl-calibrated (as calibrated for serving)',
    segment          LowCardinality(String)        COMMENT 'all, own or foreign (the source)',
    hour_ms          Int64 CODEC(Delta, ZSTD)      COMMENT 'Start of the hour of newest event time',
    version          Int64 CODEC(Delta, ZSTD)      COMMENT 'Offset in examples after the last one learned',
    threshold        Float64                       COMMENT 'Of the probability, for precision, recall and F1',
    weight           Float64                       COMMENT 'Sum of weights: examples, where each has the weight 1',
    base_rate        Nullable(Float64),
    log_loss         Nullable(Float64)             COMMENT 'Progressive, nats an example',
    relative_information_gain Nullable(Float64)    COMMENT '1 - log loss / entropy of the base rate',
    auc              Nullable(Float64)             COMMENT 'Over the bins: two predictions of one bin are a tie',
    precision        Nullable(Float64),
    recall           Nullable(Float64),
    f1               Nullable(Float64),
    calibration      Nullable(Float64)             COMMENT 'Sum of predictions / sum of labels',
    ece              Nullable(Float64)             COMMENT 'Expected calibration error over the bins',
    ece_debiased     Nullable(Float64)             COMMENT 'Less what chance adds',
    ece_noise        Nullable(Float64)             COMMENT 'A calibrated model stays below it in 97% of cases',
    bin              Array(UInt8)                  COMMENT 'Bins that are used: logits from -8 + bin/4 on, a quarter wide',
    bin_weight       Array(Float64)                COMMENT 'The reliability table, with the next three: sums of each bin',
    bin_weight_sq    Array(Float64),
    bin_prediction   Array(Float64),
    bin_label        Array(Float64),
    loss_sum         Float64                       COMMENT 'With the next three and the bins, what the figures go on from',
    true_positive    Float64,
    false_positive   Float64,
    false_negative   Float64,
    topic_partition  UInt16                        COMMENT 'Kafka partition of the record',
    topic_offset     Int64 CODEC(Delta, ZSTD)      COMMENT 'Kafka offset of the record; the highest counts'
)
ENGINE = ReplacingMergeTree(topic_offset)
PARTITION BY toYYYYMM(toDateTime(intDiv(hour_ms, 1000), 'UTC'))
ORDER BY (task, model, segment, hour_ms)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Hourly quality and reliability of the models; holds older reports, see unique_model_quality';

CREATE VIEW IF NOT EXISTS unique_model_quality AS SELECT * FROM model_quality FINAL
COMMENT 'One row a model, segment and hour';

-- One row a change that the learner made or noticed by itself: the gate, drift.
CREATE TABLE IF NOT EXISTS model_changes
(
    task             LowCardinality(String)        COMMENT 'Identity, with the next two: ctr or cvr',
    version          Int64 CODEC(Delta, ZSTD)      COMMENT 'The version in which it is first seen',
    number           UInt32                        COMMENT 'Within the version',
    ts_ms            Int64 EPHEMERAL               COMMENT 'Insert only: becomes ts',
    ts               DateTime64(3, 'UTC') DEFAULT fromUnixTimestamp64Milli(ts_ms, 'UTC') CODEC(Delta, ZSTD)
                                                   COMMENT 'Event time of the example that brought it about',
    example_id       String                        COMMENT 'That example',
    kind             LowCardinality(String)        COMMENT 'gate_closed, gate_opened, gate_accepted or drift',
    source           LowCardinality(String)        COMMENT 'Whose examples are not learned from, or are again',
    reason           LowCardinality(String)        COMMENT 'What the gate closed on',
    field            LowCardinality(String)        COMMENT 'The feature it is about, if any',
    seen             Float64,
    usual            Float64                       COMMENT 'What it is held against',
    topic_partition  UInt16                        COMMENT 'Kafka partition of the record',
    topic_offset     Int64 CODEC(Delta, ZSTD)      COMMENT 'Kafka offset of the record',
    recency          Int64 MATERIALIZED -topic_offset CODEC(Delta, ZSTD) COMMENT 'The highest is the copy that counts'
)
ENGINE = ReplacingMergeTree(recency)
PARTITION BY toYYYYMM(ts)
ORDER BY (task, version, number)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Changes and alerts of the learner; may hold copies, see unique_model_changes';

CREATE VIEW IF NOT EXISTS unique_model_changes AS SELECT * FROM model_changes FINAL
COMMENT 'One row a change';
