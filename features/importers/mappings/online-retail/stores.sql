SELECT
    getvariable('seller_id') || '-1' AS store_id, getvariable('seller_id') AS seller_id,
    getvariable('marketplace') AS marketplace, began(min(at_time)) AS opened_at,
    began(min(at_time)) AS known_at
FROM line
WHERE mapped_to IS NOT NULL
