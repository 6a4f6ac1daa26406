-- What traffic is invalid, by which rule, how much of all is it, and what of it had counted before it was credited?
-- `share` is of the shop's exposures, or of its clicks on ads and promotions.
SELECT
    shop_id,
    kind,
    reason,
    count() AS events,
    countIf(credited) AS credited_events,
    round(events / any(all_events), 5) AS share,
    uniqExact(user_id) AS users,
    min(ts) AS first,
    max(ts) AS last
FROM
(
    SELECT
        shop_id,
        kind,
        user_id,
        ts,
        credit.invalid != '' AS credited,
        if(credited, credit.invalid, outcome.invalid) AS reason,
        count() OVER (PARTITION BY shop_id, kind) AS all_events
    FROM unique_outcomes AS outcome
    LEFT JOIN credited_clicks AS credit USING (outcome_id)
    WHERE kind IN ('exposure', 'click')
)
WHERE reason != ''
GROUP BY shop_id, kind, reason
ORDER BY events DESC, shop_id, kind, reason
