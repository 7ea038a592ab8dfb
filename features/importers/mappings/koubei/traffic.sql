-- HUGEINT keeps the bytes of deliveries that were imported earlier, so that they are recognised.
-- The data count page views. Visitors, carts and spending on advertisements are not recorded.
SELECT
    id || '-1' AS store_id, day, 'other' AS channel, views::HUGEINT AS visits, views::HUGEINT AS visitors, 0 AS add_to_carts,
    0 AS ad_spend, 'CNY' AS currency, day + INTERVAL 1 DAY AS known_at
FROM viewed
WHERE reason IS NULL
