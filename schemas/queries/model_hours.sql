-- How good were the predictions, by source and hour? `gain` is what is known beyond the mean; `ece` is without chance.
SELECT
    task,
    model,
    segment,
    toDateTime(intDiv(hour_ms, 1000), 'UTC') AS hour,
    weight,
    round(log_loss, 5) AS log_loss,
    round(relative_information_gain, 4) AS gain,
    round(auc, 4) AS auc,
    round(precision, 4) AS precision,
    round(recall, 4) AS recall,
    round(f1, 4) AS f1,
    round(calibration, 4) AS calibration,
    round(ece_debiased, 6) AS ece,
    round(ece_noise, 6) AS ece_noise
FROM unique_model_quality
WHERE segment NOT LIKE '%-slot-%'
ORDER BY hour_ms DESC, task, segment, model
LIMIT 1000
