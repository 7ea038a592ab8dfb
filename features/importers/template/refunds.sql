-- One row per refund, return, cancellation, dispute or chargeback. order_id may be NULL.
SELECT
    refund_number AS refund_id,
    order_number AS order_id,
    getvariable('seller_id') || '-1' AS store_id,
    moment AS refunded_at,                                -- UTC
    amount,                                               -- not negative
    currency,
    'refund' AS reason,                                   -- return, refund, cancel, dispute or chargeback
    moment AS known_at
FROM a_refund
WHERE reason IS NULL
