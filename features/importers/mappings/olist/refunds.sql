SELECT
    id || '-cancel' AS refund_id, id AS order_id, seller_id || '-1' AS store_id, last_moment AS refunded_at, amount,
    'BRL' AS currency, 'cancel' AS reason, last_moment AS known_at
FROM sale
WHERE status IN ('canceled', 'unavailable')
