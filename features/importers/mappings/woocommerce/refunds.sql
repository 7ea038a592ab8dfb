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
WHERE amount > 0
UNION ALL
SELECT
    in_store(number || '-refund'), in_store(number), store(), at_time, total, currency, 'refund', at_time
FROM (
    SELECT
        *, least(ordered + to_days(getvariable('refund_days')::INTEGER), (SELECT max(ordered) FROM an_order)) AS at_time
    FROM an_order
)
WHERE status = 'refunded' AND number NOT IN (SELECT number FROM refunded WHERE amount > 0)
