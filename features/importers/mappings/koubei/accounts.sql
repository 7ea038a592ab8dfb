SELECT
    'shops' AS source,
    CASE WHEN began.id IS NOT NULL AND first THEN 'seller' END AS mapped_to,
    CASE WHEN shops.shop_id IS NULL THEN 'shop_id_missing' WHEN NOT first THEN 'repeated' WHEN began.id IS NULL THEN 'no_payments' END AS reason,
    count(*) AS rows,
    NULL AS orders
FROM (SELECT *, row_number() OVER (PARTITION BY shop_id ORDER BY source_row) = 1 AS first FROM shops) AS shops
LEFT JOIN began ON began.id = shops.shop_id::VARCHAR
GROUP BY ALL
UNION ALL
SELECT 'payments', CASE WHEN reason IS NULL THEN 'day_of_orders' END, reason, count(*), sum(payments) FILTER (reason IS NULL)
FROM paid GROUP BY ALL
UNION ALL
SELECT 'views', CASE WHEN reason IS NULL THEN 'day_of_traffic' END, reason, count(*), NULL
FROM viewed GROUP BY ALL
