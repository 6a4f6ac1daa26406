-- How many exposures lead to a click, and how many clicks to an order; what did they bring after refunds?
SELECT
    if(own, 'headrace', 'another system') AS chosen_by,
    if(promotion, 'promotion', 'ad') AS shown,
    countIf(exposed) AS exposures,
    countIf(clicked) AS clicks,
    countIf(ordered) AS orders,
    if(exposures = 0, NULL, round(clicks / exposures, 5)) AS click_rate,
    if(clicks = 0, NULL, round(orders / clicks, 5)) AS order_rate,
    sum(ordered_micros) / 1e6 AS revenue,
    sum(refunded_micros) / 1e6 AS refunded
FROM
(
    SELECT
        max(decision_id != '') AS own,
        max(promotion_id != '') AS promotion,
        countIf(kind = 'exposure') > 0 AS exposed,
        countIf(kind = 'click') > 0 AS clicked,
        countIf(kind = 'purchase') > 0 AS ordered,
        sumIf(revenue_micros, kind = 'purchase') AS ordered_micros,
        -sumIf(revenue_micros, kind = 'refund') AS refunded_micros
    FROM valid_outcomes
    GROUP BY exposure_id
)
GROUP BY own, promotion
ORDER BY own DESC, promotion
