-- What click rate would other placement policies have had on our exposures (IPS and SNIPS)?
-- Horvitz and Thompson 1952; Swaminathan and Joachims 2015. `greedy` always takes the best score, `uniform` draws
-- evenly from the candidates with a propensity; both only choose what was possible, so the logged propensities
-- support them. An estimate from an `effective_sample` of a few dozen says little.
WITH
    arrayFilter((id, p) -> p > 0, candidate_ids, candidate_propensity) AS possible_ids,
    arrayFilter((score, p) -> p > 0, candidate_score_micros, candidate_propensity) AS possible_scores
SELECT
    target,
    count() AS exposed_decisions,
    round(avg(clicked), 5) AS logged_ctr,
    round(avg(weight * clicked), 5) AS ips,
    round(1.96 * stddevSamp(weight * clicked) / sqrt(exposed_decisions), 5) AS ips_margin_95,
    round(sum(weight * clicked) / sum(weight), 5) AS snips,
    round(pow(sum(weight), 2) / sum(weight * weight)) AS effective_sample,
    min(propensity) AS min_propensity
FROM
(
    SELECT
        propensity,
        clicked,
        tupleElement(policy_probability, 1) AS target,
        tupleElement(policy_probability, 2) / propensity AS weight
    FROM unique_decisions
    INNER JOIN
    (
        SELECT decision_id, countIf(kind = 'click') > 0 AS clicked
        FROM valid_outcomes
        WHERE decision_id != ''
        GROUP BY decision_id
        HAVING countIf(kind = 'exposure') > 0
    ) AS became USING (decision_id)
    ARRAY JOIN
    [
        ('logged', propensity),
        ('greedy', if(chosen_id = possible_ids[indexOf(possible_scores, arrayMax(possible_scores))], 1., 0.)),
        ('uniform', 1 / length(possible_ids))
    ] AS policy_probability
    WHERE kind = 'placement' AND chosen_id != 'none'
)
GROUP BY target
ORDER BY target
