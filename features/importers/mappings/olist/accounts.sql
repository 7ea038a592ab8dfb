SELECT
    'orders' AS source,
    CASE WHEN outcome IS NULL THEN
        CASE WHEN order_status IN ('canceled', 'unavailable') THEN 'cancelled_order' ELSE 'order' END
        || CASE WHEN buyer_unknown IS NULL THEN '' ELSE '_without_known_buyer' END
        || CASE WHEN too_early IS NULL THEN '' ELSE '_with_date_left_empty' END
    END AS mapped_to,
    outcome AS reason,
    min(CASE WHEN outcome IS NULL THEN nullif(concat_ws('; ', buyer_unknown, too_early), '') ELSE detail END) AS detail,
    count(*) AS rows
FROM (
    SELECT
        order_status, detail, too_early,
        -- the sale is real, so the order is kept, and it names no buyer
        CASE
            WHEN NOT coalesce(customer_id IN (SELECT customer_id FROM buyer), false)
                THEN concat('order ''', order_id, ''' has a customer_id that the table of customers lacks')
        END AS buyer_unknown,
        CASE
            WHEN reason IS NOT NULL THEN reason
            WHEN order_id NOT IN (SELECT order_id FROM item WHERE order_id IS NOT NULL) THEN 'no_items'
            WHEN order_id NOT IN (SELECT order_id FROM sale) THEN 'no_item_mapped'
        END AS outcome
    FROM checked_order
)
GROUP BY ALL
UNION ALL
SELECT 'items', CASE WHEN reason IS NULL THEN 'item_of_order' END, reason, min(detail), count(*) FROM item GROUP BY ALL
UNION ALL
SELECT 'customers', CASE WHEN outcome IS NULL THEN 'buyer' END, outcome, min(detail), count(*)
FROM (
    SELECT
        detail, CASE WHEN customer_id IN (SELECT customer_id FROM sale) THEN reason ELSE 'no_orders' END AS outcome
    FROM customer
)
GROUP BY ALL
UNION ALL
SELECT
    'sellers', CASE WHEN reason IS NULL THEN 'seller' END, reason, NULL, count(*)
FROM (
    SELECT
        CASE
            WHEN seller_id IS NULL THEN 'seller_id_missing'
            WHEN seller_id NOT IN (SELECT seller_id FROM seller) THEN 'no_orders'
            WHEN row_number() OVER (PARTITION BY seller_id ORDER BY source_row) > 1 THEN 'repeated'
        END AS reason
    FROM sellers
)
GROUP BY ALL
UNION ALL
SELECT 'reviews', CASE WHEN reason IS NULL THEN 'rating' END, reason, min(detail), count(*) FROM review GROUP BY ALL
UNION ALL
SELECT 'products', 'category', NULL, NULL, count(*) FROM products
UNION ALL
SELECT 'translation', 'category', NULL, NULL, count(*) FROM translation
UNION ALL
SELECT 'order_payments', NULL, reason, min(detail), count(*) FROM payment GROUP BY reason
UNION ALL
SELECT 'geolocation', NULL, 'no_place_in_the_contract', NULL, count(*) FROM geolocation
