SELECT
    in_store(number || '-cancel') AS refund_id, in_store(number) AS order_id, store() AS store_id,
    cancelled AS refunded_at, total AS amount, currency, 'cancel' AS reason, cancelled AS known_at
FROM an_order
WHERE cancelled IS NOT NULL
UNION ALL
SELECT
    in_store(number || '-refund'), in_store(number), store(), at_time, refunded, currency,
    'refund', at_time
FROM (
    SELECT
        *, least(created + to_days(getvariable('refund_days')::INTEGER), (SELECT max(created) FROM an_order)) AS at_time
    FROM an_order
)
WHERE cancelled IS NULL AND refunded > 0
