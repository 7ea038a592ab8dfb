SELECT
    'lines' AS source,
    CASE WHEN reason IS NULL THEN CASE WHEN cancelled IS NULL THEN 'line_of_order' ELSE 'line_of_cancelled_order' END END
        AS mapped_to,
    reason, count(*) AS rows, count(DISTINCT number) FILTER (reason IS NULL) AS orders
FROM line
GROUP BY ALL
