CREATE TABLE an_order AS
SELECT
    order_id, min(customer_id) AS customer_id, min(order_status) AS status, min(utc(order_purchase_timestamp)) AS purchased,
    min(utc(order_delivered_carrier_date)) AS shipped, min(utc(order_delivered_customer_date)) AS delivered,
    -- nothing says when an order was canceled: the last moment that is known of it
    max(greatest(utc(order_purchase_timestamp), utc(order_approved_at), utc(order_delivered_carrier_date))) AS last_moment
FROM orders
WHERE order_id IS NOT NULL AND utc(order_purchase_timestamp) IS NOT NULL
GROUP BY order_id;

CREATE TABLE item AS
SELECT
    items.order_id, items.seller_id, items.product_id, items.source_row,
    try_cast(price AS DECIMAL(18, 2)) + coalesce(try_cast(freight_value AS DECIMAL(18, 2)), 0) AS amount,
    CASE
        WHEN an_order.order_id IS NULL THEN 'order_unknown'
        WHEN items.seller_id IS NULL OR items.seller_id NOT IN (SELECT seller_id FROM sellers WHERE seller_id IS NOT NULL)
            THEN 'seller_unknown'
        WHEN try_cast(price AS DECIMAL(18, 2)) IS NULL THEN 'price_unreadable'
    END AS reason
FROM items LEFT JOIN an_order USING (order_id);

-- One row per order and seller.
CREATE TABLE sale AS
SELECT
    order_id, seller_id, order_id || '-' || seller_id AS id, sum(amount) AS amount, count(*) AS items,
    any_value(an_order.customer_id) AS customer_id, any_value(status) AS status, any_value(purchased) AS purchased,
    any_value(shipped) AS shipped, any_value(delivered) AS delivered, any_value(last_moment) AS last_moment
FROM item JOIN an_order USING (order_id)
WHERE reason IS NULL
GROUP BY order_id, seller_id;

CREATE TABLE seller AS
SELECT seller_id, date_trunc('day', min(purchased)) AS since FROM sale GROUP BY seller_id;

-- What a seller sold first is the category, so that nothing later is told of earlier days.
CREATE TABLE category AS
SELECT
    seller_id,
    arg_min(
        coalesce(product_category_name_english, product_category_name, 'unknown'), (purchased, item.order_id, item.source_row)
    ) AS category
FROM item
JOIN an_order USING (order_id)
LEFT JOIN (SELECT DISTINCT ON (product_id) product_id, product_category_name FROM products ORDER BY ALL) USING (product_id)
LEFT JOIN (
    SELECT DISTINCT ON (product_category_name) product_category_name, product_category_name_english
    FROM translation ORDER BY ALL
) USING (product_category_name)
WHERE reason IS NULL
GROUP BY seller_id;

CREATE TABLE review AS
SELECT
    order_id, utc(review_answer_timestamp) AS answered, try_cast(review_score AS DOUBLE) AS score,
    CASE
        WHEN order_id IS NULL OR order_id NOT IN (SELECT order_id FROM sale) THEN 'order_unknown_or_without_items'
        WHEN utc(review_answer_timestamp) IS NULL THEN 'answer_not_dated'
        WHEN coalesce(try_cast(review_score AS DOUBLE), 0) NOT BETWEEN 1 AND 5 THEN 'score_not_from_1_to_5'
    END AS reason
FROM reviews;
