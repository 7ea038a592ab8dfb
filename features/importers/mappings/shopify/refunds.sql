SELECT
    in_store(number || '-cancel') AS refund_id, in_store(number) AS order_id, store() AS store_id,
    cancelled AS refunded_at, total AS amount, currency, 'cancel' AS reason, cancelled AS known_at
FROM an_order
WHERE cancelled IS NOT NULL
UNION ALL
SELECT
    in_store(number || '-refund'), in_store(number), store(), refund_at, refunded, currency, 'refund', refund_at
FROM an_order
WHERE cancelled IS NULL AND refunded > 0 AND number NOT IN (FROM refunded_later)
