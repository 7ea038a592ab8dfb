SELECT
    'lines' AS source, mapped_to, reason,
    CASE reason
        WHEN 'date_unreadable' THEN
            concat('InvoiceDate ''', min(invoice_date), ''' cannot be read; set how dates are written with --set date_format=...')
    END AS detail,
    count(*) AS rows,
    count(DISTINCT number) FILTER (mapped_to = 'line_of_order') AS orders,
    count(DISTINCT number) FILTER (mapped_to IN ('line_of_refund', 'discount_after_sale')) AS refunds
FROM line
GROUP BY mapped_to, reason
