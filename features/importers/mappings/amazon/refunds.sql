SELECT
    id AS refund_id, CASE WHEN number IN (SELECT number FROM sale) THEN number END AS order_id,
    getvariable('seller_id') || '-' || channel AS store_id, posted AS refunded_at, amount, currency,
    CASE
        WHEN lower(kind) LIKE 'chargeback%' THEN 'chargeback' WHEN lower(kind) LIKE 'a-to-z%' THEN 'dispute' ELSE 'refund'
    END AS reason,
    posted AS known_at
FROM refunded
