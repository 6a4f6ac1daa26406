-- Is every audit record consistent? All three counts of violations should be 0.
SELECT
    kind,
    policy,
    count() AS decisions,
    countIf(drawn AND abs(arraySum(candidate_propensity) - 1) > 1e-6) AS propensities_not_1,
    countIf(drawn AND abs(candidate_propensity[indexOf(candidate_ids, chosen_id)] - propensity) > 1e-9) AS chosen_differs,
    countIf(abs(arraySum(mapValues(contributions)) - logit) > 1e-6) AS logit_differs,
    min(propensity) AS min_propensity
FROM
(
    -- A placement of `none` is not drawn: nothing could compete.
    SELECT *, NOT (kind = 'placement' AND chosen_id = 'none') AS drawn FROM unique_decisions
)
GROUP BY kind, policy
ORDER BY kind, policy
