-- What does each campaign pay: its valid clicks at the price of their decisions, and what invalid ones would have cost?
-- A click is billed the bid that its decision was made with, if the ad that was chosen is the one that was shown.
-- `credited_spend` was billed when the click came and has been taken back since.
SELECT
    clicked_campaign_id AS campaign_id,
    countIf(valid) AS billed_clicks,
    sumIf(price_micros, valid) / 1e6 AS spend,
    countIf(NOT valid) AS unbilled_clicks,
    sumIf(price_micros, credited) / 1e6 AS credited_spend,
    sumIf(price_micros, NOT valid) / 1e6 AS unbilled_spend
FROM
(
    SELECT
        decision_id,
        ad_id,
        campaign_id AS clicked_campaign_id,
        outcome_id IN (SELECT outcome_id FROM credited_clicks) AS credited,
        invalid = '' AND NOT credited AS valid
    FROM unique_outcomes
    WHERE kind = 'click' AND decision_id != '' AND ad_id != ''
) AS clicks
INNER JOIN (SELECT decision_id, chosen_id, price_micros FROM unique_decisions) AS decided USING (decision_id)
WHERE chosen_id = ad_id
GROUP BY campaign_id
ORDER BY spend DESC, campaign_id
