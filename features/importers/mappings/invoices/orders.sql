SELECT
    id AS order_id, enterprise || '-1' AS store_id, partner AS buyer_id, day::TIMESTAMP AS ordered_at, amount,
    getvariable('currency') AS currency, 'other' AS channel, getvariable('country') AS buyer_country, 1 AS items,
    day::TIMESTAMP AS known_at
FROM invoice
WHERE reason IS NULL AND kind IN ('order', 'cancelled_order')
