SELECT
    getvariable('seller_id') || '-woocommerce' AS store_id, getvariable('seller_id') AS seller_id,
    'woocommerce' AS marketplace, date_trunc('day', min(ordered)) AS opened_at, date_trunc('day', min(ordered)) AS known_at
FROM an_order
HAVING count(*) > 0
