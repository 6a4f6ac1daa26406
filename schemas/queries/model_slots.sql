-- How good were the predictions by slot, hour by hour? Slots that share a segment, of 32, share its row.
WITH
    7958955049054603978 AS salt, -- of the feature `slot`: its hash is that of the learner (models/hashing.py)
    slots AS
    (
        SELECT concat('own-slot-', toString(bitXor(c, bitShiftRight(c, 31)) % 32)) AS segment, slot_id
        FROM
        (
            SELECT
                slot_id,
                toUInt64(bitXor(if(slot_id = '', 0, bitShiftRight(xxh3(slot_id), 1)), salt) + 0x9E3779B97F4A7C15) AS a,
                toUInt64(bitXor(a, bitShiftRight(a, 30)) * 0xBF58476D1CE4E5B9) AS b,
                toUInt64(bitXor(b, bitShiftRight(b, 27)) * 0x94D049BB133111EB) AS c
            FROM (SELECT DISTINCT slot_id FROM decisions)
        )
    )
SELECT
    quality.task AS task,
    quality.model AS model,
    names.slot_ids AS slot_ids,
    quality.segment AS segment,
    toDateTime(intDiv(quality.hour_ms, 1000), 'UTC') AS hour,
    quality.weight AS weight,
    round(quality.log_loss, 5) AS log_loss,
    round(quality.relative_information_gain, 4) AS gain,
    round(quality.auc, 4) AS auc,
    round(quality.calibration, 4) AS calibration,
    round(quality.ece_debiased, 6) AS ece,
    round(quality.ece_noise, 6) AS ece_noise
FROM unique_model_quality AS quality
LEFT JOIN
(
    SELECT segment, arraySort(groupArray(slot_id)) AS slot_ids FROM slots GROUP BY segment
) AS names ON names.segment = quality.segment
WHERE quality.segment LIKE '%-slot-%'
ORDER BY quality.hour_ms DESC, task, segment, model
LIMIT 1000
