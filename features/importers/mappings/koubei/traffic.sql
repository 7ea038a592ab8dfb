-- The data count page views. Visitors, carts and spending on advertisements are not recorded.
-- A shop and day has one row: the sum only keeps the bytes of deliveries that were imported earlier.
SELECT
    id || '-1' AS store_id, day, 'other' AS channel, sum(views) AS visits, sum(views) AS visitors, 0 AS add_to_carts,
    0 AS ad_spend, 'CNY' AS currency, day + INTERVAL 1 DAY AS known_at
FROM viewed
WHERE reason IS NULL
GROUP BY id, day
