SELECT
    'lines' AS source, became, reason, count(*) AS rows,
    count(DISTINCT number) FILTER (became = 'line_of_order') AS orders,
    count(DISTINCT number) FILTER (became = 'line_of_refund') AS refunds
FROM line
GROUP BY became, reason
