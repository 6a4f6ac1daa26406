-- Which ads are clicked how often once shown, with Wilson's 95% interval (Wilson 1927)?
WITH
    1.96 AS z,
    z * sqrt(clicks * (exposures - clicks) / exposures + z * z / 4) AS half_width
SELECT
    shown_campaign_id AS campaign_id,
    shown_ad_id AS ad_id,
    count() AS exposures,
    countIf(clicked) AS clicks,
    round(clicks / exposures, 5) AS ctr,
    round((clicks + z * z / 2 - half_width) / (exposures + z * z), 5) AS ctr_low,
    round((clicks + z * z / 2 + half_width) / (exposures + z * z), 5) AS ctr_high
FROM
(
    SELECT
        anyIf(campaign_id, kind = 'exposure') AS shown_campaign_id,
        anyIf(ad_id, kind = 'exposure') AS shown_ad_id,
        countIf(kind = 'click') > 0 AS clicked
    FROM valid_outcomes
    WHERE ad_id != ''
    GROUP BY exposure_id
    HAVING countIf(kind = 'exposure') > 0
)
GROUP BY campaign_id, ad_id
ORDER BY exposures DESC, ad_id
