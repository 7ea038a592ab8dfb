SELECT
    'orders' AS source,
    CASE WHEN reason IS NULL THEN CASE WHEN status = 'cancelled' THEN 'cancelled_order' ELSE 'order' END END AS mapped_to,
    reason, count(*) AS rows, count(*) FILTER (reason IS NULL) AS orders
FROM row_of_order
GROUP BY ALL
