-- The outcome of every row of every source. The counts must add up to the rows read, or the import is refused.
-- Exactly one of mapped_to and reason is set. A column named after a table must add up to the rows written to it.
SELECT
    'orders' AS source, CASE WHEN reason IS NULL THEN 'order' END AS mapped_to, reason, count(*) AS rows,
    count(*) FILTER (reason IS NULL) AS orders
FROM an_order
GROUP BY reason
UNION ALL
SELECT 'refunds', CASE WHEN reason IS NULL THEN 'refund' END, reason, count(*), NULL
FROM a_refund
GROUP BY reason
