SELECT
    id || '-1' AS store_id, id AS seller_id, 'koubei' AS marketplace, since AS opened_at, since AS known_at
FROM began
