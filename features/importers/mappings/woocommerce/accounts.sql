SELECT
    'orders' AS source,
    CASE WHEN reason IS NULL THEN
        CASE
            WHEN status = 'cancelled' THEN 'cancelled_order'
            WHEN is_known(status) THEN 'order'
            ELSE 'order_of_unknown_status'
        END
        || CASE WHEN too_much.number IS NULL THEN '' ELSE '_with_refunds_cut' END
        || CASE WHEN row_of_order.number IN (FROM refunded_later) THEN '_refunded_later' ELSE '' END
    END AS mapped_to,
    reason,
    CASE reason
        WHEN 'order_date_unreadable' THEN
            'order_date ''' || min(ordered_text) || ''' cannot be read; how dates are written is set with --set date_format=...'
        WHEN 'status_unknown' THEN
            'status ''' || min(status) || ''' is not one of WooCommerce, and the order has no paid_date'
        WHEN 'order_total_unreadable' THEN 'order_total ''' || min(total_text) || ''' cannot be read'
        WHEN 'paid_date_unreadable' THEN
            'paid_date ''' || min(paid_text) || ''' cannot be read; how dates are written is set with --set date_format=...'
        WHEN 'refund_amount_unreadable' THEN 'amount ''' || min(wrong_amount) || ''' in refund_items cannot be read'
        WHEN 'refund_date_unreadable' THEN 'date ''' || min(wrong_date) || ''' in refund_items cannot be read'
        ELSE min(coalesce(
            row_of_order.detail, too_much.detail,
            CASE WHEN reason IS NULL AND row_of_order.number IN (FROM refunded_later) THEN
                'a refund, refund_days after the order, comes with a later export, or with a later --covers-through' END,
            CASE WHEN reason IS NULL AND NOT is_known(status) THEN
                concat('status ''', status, ''' is not one of WooCommerce, but the order has a paid_date') END
        ))
    END AS detail,
    count(*) AS rows, count(*) FILTER (reason IS NULL) AS orders
FROM row_of_order
LEFT JOIN refunded_too_much AS too_much ON too_much.number = row_of_order.number AND reason IS NULL
GROUP BY mapped_to, reason
