-- Do events come as often as predicted? One row a bin of the newest day, before and after calibration.
SELECT
    task,
    model,
    bin / 4 - 8 AS logit_from,
    round(sum(w), 1) AS weight,
    round(sum(p) / sum(w), 6) AS predicted,
    round(sum(y) / sum(w), 6) AS happened
FROM
(
    SELECT task, model, b AS bin, w, p, y
    FROM unique_model_quality
    ARRAY JOIN bin AS b, bin_weight AS w, bin_prediction AS p, bin_label AS y
    WHERE segment = 'all' AND hour_ms > (SELECT max(hour_ms) FROM model_quality) - 86400000
)
GROUP BY task, model, bin
HAVING sum(w) > 0
ORDER BY task, model, bin
