SELECT
    'shops' AS source, CASE WHEN reason IS NULL THEN 'seller' END AS mapped_to, reason,
    min(CASE reason WHEN 'repeated_differs' THEN repeated_detail(place, differs) END) AS detail, count(*) AS rows,
    NULL AS orders
FROM (
    SELECT
        *,
        CASE
            WHEN shop_id IS NULL THEN 'shop_id_missing'
            WHEN place > 1 THEN repeated(place, differs)
            WHEN shop_id::VARCHAR NOT IN (SELECT id FROM began) THEN 'no_payments'
        END AS reason
    FROM listed
)
GROUP BY reason
UNION ALL
SELECT
    'payments', CASE WHEN reason IS NULL THEN 'day_of_orders' END, reason, min(detail), count(*),
    sum(payments) FILTER (reason IS NULL)
FROM paid GROUP BY reason
UNION ALL
SELECT 'views', CASE WHEN reason IS NULL THEN 'day_of_traffic' END, reason, min(detail), count(*), NULL
FROM viewed GROUP BY reason
