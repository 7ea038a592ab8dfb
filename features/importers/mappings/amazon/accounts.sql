SELECT
    'items' AS source, CASE WHEN reason IS NULL THEN 'item_of_order' END AS mapped_to, reason, count(*) AS rows,
    count(DISTINCT number) FILTER (reason IS NULL) AS orders
FROM item
GROUP BY reason
UNION ALL
SELECT 'settlements', CASE WHEN reason IS NULL THEN 'part_of_refund' END, reason, count(*), NULL
FROM flow
GROUP BY reason
