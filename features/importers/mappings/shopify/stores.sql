SELECT
    getvariable('seller_id') || '-shopify' AS store_id, getvariable('seller_id') AS seller_id, 'shopify' AS marketplace,
    date_trunc('day', min(created)) AS opened_at, date_trunc('day', min(created)) AS known_at
FROM an_order
HAVING count(*) > 0
