-- A cancellation does not name the invoice that it cancels, so the refund names no order.
SELECT
    CASE mapped_to WHEN 'discount_after_sale' THEN number || '-D' ELSE number END AS refund_id,
    NULL::VARCHAR AS order_id,
    getvariable('seller_id') || '-1' AS store_id,
    min(at_time) AS refunded_at,
    -round(sum(quantity::DECIMAL(18, 2) * price), 2) AS amount,
    getvariable('currency') AS currency,
    'refund' AS reason,
    min(at_time) AS known_at
FROM line
WHERE mapped_to IN ('line_of_refund', 'discount_after_sale')
GROUP BY number, mapped_to
