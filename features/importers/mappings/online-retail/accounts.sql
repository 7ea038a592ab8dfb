SELECT
    'lines' AS source, mapped_to, reason, count(*) AS rows,
    count(DISTINCT number) FILTER (mapped_to = 'line_of_order') AS orders,
    count(DISTINCT number) FILTER (mapped_to = 'line_of_refund') AS refunds
FROM line
GROUP BY mapped_to, reason
