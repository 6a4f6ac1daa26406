-- How good is each model now; `of_null` below 1 is better than predicting the running mean?
SELECT
    task,
    scored_share,
    model,
    version,
    ts AS newest_example,
    examples,
    round(positives / examples, 5) AS base_rate,
    round(loss, 5) AS log_loss,
    round(loss / maxIf(loss, model = 'mean') OVER (PARTITION BY task, scored_share), 4) AS of_null,
    round(auc, 4) AS auc,
    round(calibration, 4) AS calibration
FROM
(
    SELECT * EXCEPT log_loss, log_loss AS loss
    FROM unique_model_progress
    ORDER BY version DESC
    LIMIT 1 BY task, scored_share, model
)
ORDER BY task, scored_share DESC, loss
