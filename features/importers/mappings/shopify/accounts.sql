SELECT
    'lines' AS source,
    CASE WHEN reason IS NULL THEN
        CASE
            WHEN cancelled IS NOT NULL THEN 'line_of_cancelled_order'
            WHEN cut IS NOT NULL THEN 'line_of_order_with_refund_cut'
            WHEN sale.number IN (FROM refunded_later) THEN 'line_of_order_refunded_later'
            ELSE 'line_of_order'
        END
    END AS mapped_to,
    reason,
    CASE reason
        WHEN 'created_at_missing_or_unreadable' THEN 'Created at ''' || min(wrong_created) || ''' cannot be read'
        WHEN 'total_missing_or_unreadable' THEN 'Total ''' || min(wrong_total) || ''' cannot be read'
        WHEN 'refunded_amount_negative' THEN 'Refunded Amount ''' || min(wrong_refund) || ''' is below 0; write 0 or more'
        WHEN 'refunded_amount_unreadable' THEN 'Refunded Amount ''' || min(wrong_refund) || ''' cannot be read'
        WHEN 'cancelled_at_unreadable' THEN 'Cancelled at ''' || min(wrong_cancelled) || ''' cannot be read'
        WHEN 'lineitem_quantity_unreadable' THEN
            'Lineitem quantity ''' || min(wrong_quantity) || ''' cannot be read; write a number of 0 or more'
        WHEN 'not_paid' THEN 'Financial Status ''' || min(status) || ''''
        WHEN 'cancelled_before_payment' THEN 'Financial Status ''' || min(status) || ''''
        WHEN 'cancelled_before_payment' THEN 'Financial Status ''' || min(status) || ''''
        WHEN 'partially_paid' THEN 'export the order again once it is paid'
        WHEN 'financial_status_unknown' THEN concat('Financial Status ''', min(status), ''' is not one of Shopify')
        ELSE min(coalesce(
            detail, CASE WHEN cancelled IS NULL THEN cut END,
            CASE WHEN reason IS NULL AND sale.number IN (FROM refunded_later) THEN
                'its refund, refund_days after the order, comes with a later export, or with a later --covers-through' END
        ))
    END AS detail,
    count(*) AS rows, count(DISTINCT number) FILTER (reason IS NULL) AS orders
FROM numbered JOIN sale ON numbered."Name" IS NOT DISTINCT FROM sale.number AND numbered.place = sale.place
GROUP BY mapped_to, reason
