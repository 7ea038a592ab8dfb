SELECT
    'lines' AS source,
    CASE WHEN reason IS NULL THEN CASE WHEN cancelled IS NULL THEN 'line_of_order' ELSE 'line_of_cancelled_order' END END
        AS mapped_to,
    reason,
    CASE reason
        WHEN 'refunded_amount_unreadable' THEN 'Refunded Amount ''' || min(wrong_refund) || ''' cannot be read'
    END AS detail,
    count(*) AS rows, count(DISTINCT number) FILTER (reason IS NULL) AS orders
FROM line
GROUP BY mapped_to, reason
