-- What were the last 20 decisions?
SELECT
    ts,
    decision_id,
    kind,
    slot_id,
    chosen_id,
    round(propensity, 6) AS propensity,
    round(p_click, 6) AS p_click,
    length(candidate_ids) AS candidates,
    policy,
    model_version
FROM unique_decisions
ORDER BY ts DESC, decision_id
LIMIT 20
