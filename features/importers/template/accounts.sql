-- The outcome of every row of every source. The counts must add up to the rows read, or the import fails.
-- Exactly one of mapped_to and reason is set. A column named after a table must add up to the rows written to it. The
-- optional column detail explains a reason, for example by a value.
SELECT
    'orders' AS source, CASE WHEN reason IS NULL THEN 'order' END AS mapped_to, reason,
    CASE reason
        WHEN 'created_at_unreadable' THEN concat('such as ''', min(created_at), '''; see time_of in prepare.sql')
        WHEN 'total_unreadable' THEN concat('such as ''', min(total), '''; see amount_of in prepare.sql')
    END AS detail,
    count(*) AS rows,
    count(*) FILTER (reason IS NULL) AS orders
FROM an_order
GROUP BY reason
UNION ALL
SELECT
    'refunds', CASE WHEN reason IS NULL THEN 'refund' END, reason,
    CASE reason
        WHEN 'refunded_at_unreadable' THEN concat('such as ''', min(refunded_at), '''; see time_of in prepare.sql')
        WHEN 'total_unreadable' THEN concat('such as ''', min(total), '''; see amount_of in prepare.sql')
    END,
    count(*), NULL
FROM a_refund
GROUP BY reason
