SELECT
    CASE kind WHEN 'refund' THEN id ELSE id || '-cancel' END AS refund_id,
    CASE kind WHEN 'refund' THEN NULL ELSE id END AS order_id,
    enterprise || '-1' AS store_id, day::TIMESTAMP AS refunded_at, abs(amount) AS amount,
    getvariable('currency') AS currency, CASE kind WHEN 'refund' THEN 'refund' ELSE 'cancel' END AS reason,
    day::TIMESTAMP AS known_at
FROM invoice
WHERE reason IS NULL AND kind IN ('refund', 'cancelled_order')
