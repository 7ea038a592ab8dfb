SELECT
    id AS store_id, getvariable('seller_id') AS seller_id, channel AS marketplace, since AS opened_at, since AS known_at
FROM store
