SELECT
    in_store(number || '-cancel') AS refund_id, in_store(number) AS order_id, store() AS store_id,
    greatest(ordered, paid) AS refunded_at, total AS amount, currency, 'cancel' AS reason,
    greatest(ordered, paid) AS known_at
FROM an_order
WHERE status = 'cancelled'
UNION ALL
SELECT
    in_store(id), in_store(number), store(), at_time, amount, currency, 'refund', at_time
FROM refunded
WHERE amount > 0 AND NOT later
UNION ALL
SELECT
    in_store(number || '-refund'), in_store(number), store(), at_time, amount, currency, 'refund', at_time
FROM refunded_without_items
WHERE NOT later
