SELECT
    store() AS store_id, getvariable('seller_id') AS seller_id, 'shopify' AS marketplace,
    began(min(created)) AS opened_at, began(min(created)) AS known_at
FROM an_order
HAVING count(*) > 0
