-- What did each policy decide, how widely did it explore, and how often was the choice shown and clicked?
SELECT
    kind,
    policy,
    count() AS decisions,
    countIf(chosen_id = 'none') AS none_chosen,
    round(avg(length(candidate_ids)), 1) AS mean_candidates,
    min(propensity) AS min_propensity,
    countIf(exposed) AS exposed_decisions,
    countIf(clicked) AS clicked_decisions,
    if(exposed_decisions = 0, NULL, round(clicked_decisions / exposed_decisions, 5)) AS ctr
FROM unique_decisions
LEFT JOIN
(
    SELECT decision_id, countIf(kind = 'exposure') > 0 AS exposed, countIf(kind = 'click') > 0 AS clicked
    FROM valid_outcomes
    WHERE decision_id != ''
    GROUP BY decision_id
) AS became USING (decision_id)
GROUP BY kind, policy
ORDER BY kind, decisions DESC
