CREATE MACRO unreadable_date(name, moment) AS
    CASE WHEN moment IS NOT NULL AND utc(moment) IS NULL THEN name || ' ''' || moment || '''' END;
CREATE MACRO money(amount) AS try_cast(amount AS DECIMAL(18, 2));

-- The reason why an order is not mapped, and a detail that explains it.
CREATE TABLE checked_order AS
SELECT
    *,
    CASE
        WHEN order_id IS NULL THEN 'order_id_missing'
        WHEN order_purchase_timestamp IS NULL THEN 'order_purchase_timestamp_missing'
        WHEN bad_date IS NOT NULL THEN 'date_unreadable'
        WHEN order_status IS NULL OR NOT list_contains(statuses, order_status) THEN 'order_status_unknown'
    END AS reason,
    CASE reason
        WHEN 'date_unreadable' THEN bad_date || ' cannot be read; write dates as 2018-01-31 10:00:00'
        WHEN 'order_status_unknown' THEN
            concat('order_status ''', order_status, ''' is not one of ', array_to_string(statuses, ', '))
    END AS detail
FROM (
    SELECT
        *,
        ['created', 'approved', 'invoiced', 'processing', 'shipped', 'delivered', 'canceled', 'unavailable'] AS statuses,
        coalesce(
            unreadable_date('order_purchase_timestamp', order_purchase_timestamp),
            unreadable_date('order_approved_at', order_approved_at),
            unreadable_date('order_delivered_carrier_date', order_delivered_carrier_date),
            unreadable_date('order_delivered_customer_date', order_delivered_customer_date)
        ) AS bad_date
    FROM orders
);

CREATE TABLE an_order AS
SELECT
    order_id, min(customer_id) AS customer_id, min(order_status) AS status, min(utc(order_purchase_timestamp)) AS purchased,
    min(utc(order_delivered_carrier_date)) AS shipped, min(utc(order_delivered_customer_date)) AS delivered,
    -- nothing says when an order was canceled: the last moment that is known of it
    max(greatest(utc(order_purchase_timestamp), utc(order_approved_at), utc(order_delivered_carrier_date))) AS last_moment
FROM checked_order
WHERE reason IS NULL
GROUP BY order_id;

-- An item that cannot be used is left out of its order: a negative price must not hide in the order's sum.
CREATE TABLE item AS
SELECT
    *, money(price) + coalesce(money(freight_value), 0) AS amount,
    CASE
        WHEN reason IN ('price_unreadable', 'price_negative') THEN 'price ''' || price || ''''
        WHEN reason IN ('freight_value_unreadable', 'freight_value_negative') THEN 'freight_value ''' || freight_value || ''''
    END || '; write a number such as 29.90, not below 0' AS detail
FROM (
    SELECT
        items.*,
        CASE
            WHEN an_order.order_id IS NULL THEN
                CASE
                    WHEN items.order_id IN (SELECT order_id FROM checked_order WHERE order_id IS NOT NULL)
                        THEN 'order_not_mapped'
                    ELSE 'order_unknown'
                END
            WHEN seller_id IS NULL OR seller_id NOT IN (SELECT seller_id FROM sellers WHERE seller_id IS NOT NULL)
                THEN 'seller_unknown'
            WHEN price IS NULL THEN 'price_missing'
            WHEN money(price) IS NULL THEN 'price_unreadable'
            WHEN money(price) < 0 THEN 'price_negative'
            WHEN freight_value IS NOT NULL AND money(freight_value) IS NULL THEN 'freight_value_unreadable'
            WHEN money(freight_value) < 0 THEN 'freight_value_negative'
        END AS reason
    FROM items LEFT JOIN an_order USING (order_id)
);

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
        WHEN review_answer_timestamp IS NULL THEN 'answer_not_dated'
        WHEN utc(review_answer_timestamp) IS NULL THEN 'date_unreadable'
        WHEN coalesce(try_cast(review_score AS DOUBLE), 0) NOT BETWEEN 1 AND 5 THEN 'score_not_from_1_to_5'
    END AS reason,
    unreadable_date('review_answer_timestamp', review_answer_timestamp)
        || ' cannot be read; write dates as 2018-01-31 10:00:00' AS detail
FROM reviews;
