-- What has the learner noticed or changed by itself?
SELECT ts, task, kind, source, reason, field, round(seen, 6) AS seen, round(usual, 6) AS usual, version, example_id
FROM unique_model_changes
ORDER BY ts DESC, version DESC, number DESC
LIMIT 1000
