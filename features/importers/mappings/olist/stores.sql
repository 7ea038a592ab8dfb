SELECT seller_id || '-1' AS store_id, seller_id, 'olist' AS marketplace, since AS opened_at, since AS known_at
FROM seller
