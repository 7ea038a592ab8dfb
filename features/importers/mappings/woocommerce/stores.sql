SELECT
    store() AS store_id, getvariable('seller_id') AS seller_id, 'woocommerce' AS marketplace,
    began(min(ordered)) AS opened_at, began(min(ordered)) AS known_at
FROM an_order
HAVING count(*) > 0
