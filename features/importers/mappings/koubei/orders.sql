-- Payments are spread evenly over the hours from 8 to 22. A day is reported at its end, so its orders are known then.
SELECT
    id || '-' || strftime(day, '%Y%m%d') || '-' || lpad(number::VARCHAR, greatest(4, length(number::VARCHAR))::INTEGER, '0')
        AS order_id,
    id || '-1' AS store_id,
    day + INTERVAL 8 HOUR + to_seconds((number * 2 + 1) * 25200 // payments) AS ordered_at,
    ticket AS amount,
    'CNY' AS currency,
    'other' AS channel,
    'CN' AS buyer_country,
    1 AS items,
    day + INTERVAL 1 DAY AS known_at
FROM paid, range(payments) AS each(number)
WHERE reason IS NULL
