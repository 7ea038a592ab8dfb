SELECT id AS order_id, seller_id || '-1' AS store_id, 'shipped' AS event, shipped AS "at", shipped AS known_at
FROM sale WHERE shipped IS NOT NULL
UNION ALL
SELECT id, seller_id || '-1', 'delivered', delivered, delivered
FROM sale WHERE delivered IS NOT NULL
