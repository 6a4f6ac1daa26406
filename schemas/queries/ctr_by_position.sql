-- How much does the place on the page matter: what share of the ads shown there is clicked, how soon?
SELECT
    shown_slot_id AS slot_id,
    shown_position AS position,
    count() AS exposures,
    countIf(clicked) AS clicks,
    round(clicks / exposures, 5) AS ctr,
    if(clicks = 0, NULL, round(quantileIf(0.5)(click_delay_ms, clicked) / 1000, 1)) AS median_delay_s
FROM
(
    SELECT
        anyIf(slot_id, kind = 'exposure') AS shown_slot_id,
        anyIf(position, kind = 'exposure') AS shown_position,
        countIf(kind = 'click') > 0 AS clicked,
        minIf(delay_ms, kind = 'click') AS click_delay_ms
    FROM valid_outcomes
    WHERE ad_id != ''
    GROUP BY exposure_id
    HAVING countIf(kind = 'exposure') > 0
)
GROUP BY slot_id, position
ORDER BY slot_id, position
