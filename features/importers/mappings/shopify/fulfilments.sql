SELECT
    in_store(number) AS order_id, store() AS store_id, 'shipped' AS event, fulfilled AS "at",
    fulfilled AS known_at
FROM an_order
WHERE fulfilled IS NOT NULL
