SELECT
    id AS purchase_id, enterprise || '-1' AS store_id, partner AS supplier_id, day::TIMESTAMP AS purchased_at, amount,
    getvariable('currency') AS currency, day::TIMESTAMP AS known_at
FROM invoice
WHERE reason IS NULL AND kind = 'purchase'
