SELECT
    'lines' AS source,
    CASE WHEN reason IS NULL THEN CASE WHEN cancelled IS NULL THEN 'line_of_order' ELSE 'line_of_cancelled_order' END END
        AS mapped_to,
    reason,
    CASE reason
        WHEN 'created_at_missing_or_unreadable' THEN 'Created at ''' || min(wrong_created) || ''' cannot be read'
        WHEN 'total_missing_or_unreadable' THEN 'Total ''' || min(wrong_total) || ''' cannot be read'
        WHEN 'refunded_amount_unreadable' THEN 'Refunded Amount ''' || min(wrong_refund) || ''' cannot be read'
        WHEN 'fulfilled_at_unreadable' THEN 'Fulfilled at ''' || min(wrong_fulfilled) || ''' cannot be read'
        WHEN 'cancelled_at_unreadable' THEN 'Cancelled at ''' || min(wrong_cancelled) || ''' cannot be read'
    END AS detail,
    count(*) AS rows, count(DISTINCT number) FILTER (reason IS NULL) AS orders
FROM line
GROUP BY mapped_to, reason
