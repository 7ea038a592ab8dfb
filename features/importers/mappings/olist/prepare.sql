CREATE MACRO unreadable_date(name, moment) AS
    CASE WHEN moment IS NOT NULL AND NOT coalesce(isfinite(utc(moment)), false) THEN name || ' ''' || moment || '''' END;
CREATE MACRO money(amount) AS try_cast(amount AS DECIMAL(18, 2));

-- `fault` is the reason why an order cannot be used, `too_early` names its impossible dates.
CREATE TABLE read_order AS
SELECT
    *,
    CASE
        WHEN order_id IS NULL THEN 'order_id_missing'
        WHEN order_purchase_timestamp IS NULL THEN 'order_purchase_timestamp_missing'
        WHEN bad_date IS NOT NULL THEN 'date_unreadable'
        WHEN order_status IS NULL OR NOT list_contains(statuses, order_status) THEN 'order_status_unknown'
    END AS fault,
    CASE fault
        WHEN 'date_unreadable' THEN bad_date || ' cannot be read; write dates as 2018-01-31 10:00:00'
        WHEN 'order_status_unknown' THEN
            concat('order_status ''', order_status, ''' is not one of ', array_to_string(statuses, ', '))
    END AS fault_detail,
    CASE
        WHEN delivered < purchased THEN concat('order_delivered_customer_date ''', delivered, '''')
        WHEN shipped < purchased THEN concat('order_delivered_carrier_date ''', shipped, '''')
    END || concat(' is before order_purchase_timestamp ''', purchased, ''' and left empty') AS too_early
FROM (
    SELECT
        *,
        ['created', 'approved', 'invoiced', 'processing', 'shipped', 'delivered', 'canceled', 'unavailable'] AS statuses,
        utc(order_purchase_timestamp) AS purchased, utc(order_approved_at) AS approved,
        utc(order_delivered_carrier_date) AS shipped, utc(order_delivered_customer_date) AS delivered,
        coalesce(
            unreadable_date('order_purchase_timestamp', order_purchase_timestamp),
            unreadable_date('order_approved_at', order_approved_at),
            unreadable_date('order_delivered_carrier_date', order_delivered_carrier_date),
            unreadable_date('order_delivered_customer_date', order_delivered_customer_date)
        ) AS bad_date
    FROM orders
);

-- The reason why an order is not mapped, and a detail that explains it.
CREATE TABLE checked_order AS
SELECT
    * EXCLUDE (fault, fault_detail, place, differs),
    coalesce(fault, repeated(place, differs)) AS reason,
    CASE WHEN fault IS NULL THEN repeated_detail(place, differs) ELSE fault_detail END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS place,
        concat_ws(
            ', ',
            other_value('order_status', order_status, first_value(order_status) OVER same),
            other_value('customer_id', customer_id, first_value(customer_id) OVER same),
            other_value('order_purchase_timestamp', purchased, first_value(purchased) OVER same),
            other_value('order_approved_at', approved, first_value(approved) OVER same),
            other_value('order_delivered_carrier_date', shipped, first_value(shipped) OVER same),
            other_value('order_delivered_customer_date', delivered, first_value(delivered) OVER same)
        ) AS differs
    FROM read_order
    WINDOW same AS (PARTITION BY order_id, fault ORDER BY source_row)
);

-- A date before the purchase is left empty: the sale is real, but the date would make a delivery look faster than it was.
CREATE TABLE an_order AS
SELECT
    order_id, customer_id, order_status AS status, purchased,
    CASE WHEN shipped >= purchased THEN shipped END AS shipped,
    CASE WHEN delivered >= purchased THEN delivered END AS delivered,
    -- the export has no time of cancellation, so use the last known time of the order
    greatest(purchased, approved, shipped) AS last_moment
FROM checked_order
WHERE reason IS NULL;

-- `fault` is the reason why an item cannot be used.
CREATE TABLE read_item AS
SELECT
    items.*, money(price) AS price_read, money(freight_value) AS freight_read,
    CASE
        WHEN an_order.order_id IS NULL THEN
            CASE
                WHEN items.order_id IN (SELECT order_id FROM checked_order WHERE order_id IS NOT NULL) THEN 'order_not_mapped'
                ELSE 'order_unknown'
            END
        WHEN order_item_id IS NULL THEN 'order_item_id_missing'
        WHEN seller_id IS NULL OR seller_id NOT IN (SELECT seller_id FROM sellers WHERE seller_id IS NOT NULL)
            THEN 'seller_unknown'
        WHEN price IS NULL THEN 'price_missing'
        WHEN price_read IS NULL THEN 'price_unreadable'
        WHEN price_read < 0 THEN 'price_negative'
        WHEN freight_value IS NULL THEN 'freight_value_missing'
        WHEN freight_read IS NULL THEN 'freight_value_unreadable'
        WHEN freight_read < 0 THEN 'freight_value_negative'
    END AS fault
FROM items LEFT JOIN an_order USING (order_id);

-- An item that cannot be used is left out of its order: a negative price must not hide in the order's sum.
CREATE TABLE item AS
SELECT
    * EXCLUDE (fault, place, differs), price_read + freight_read AS amount,
    coalesce(fault, repeated(place, differs)) AS reason,
    CASE
        WHEN fault IS NULL THEN repeated_detail(place, differs)
        WHEN fault = 'order_item_id_missing'
            THEN 'order_item_id is empty; number the items of an order, so that a repeated line is not counted twice'
        WHEN fault LIKE 'price_%' THEN concat('price ''', price, '''; write a number such as 29.90, not below 0')
        WHEN fault LIKE 'freight_value_%'
            THEN concat('freight_value ''', freight_value, '''; write a number such as 29.90, not below 0')
    END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS place,
        concat_ws(
            ', ',
            other_value('price', price_read, first_value(price_read) OVER same),
            other_value('freight_value', freight_read, first_value(freight_read) OVER same),
            other_value('product_id', product_id, first_value(product_id) OVER same),
            other_value('seller_id', seller_id, first_value(seller_id) OVER same)
        ) AS differs
    FROM read_item
    WINDOW same AS (PARTITION BY order_id, order_item_id, fault ORDER BY source_row)
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

-- The category is that of the first sale, so that it does not reveal later sales on earlier days.
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

CREATE TABLE customer AS
SELECT
    customer_id, customer_unique_id, coalesce(fault, repeated(place, differs)) AS reason,
    CASE WHEN fault IS NULL THEN repeated_detail(place, differs) END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS place,
        -- without the ids: they are those of buyers
        CASE
            WHEN customer_unique_id IS DISTINCT FROM first_value(customer_unique_id) OVER same
                THEN 'another customer_unique_id'
            ELSE ''
        END AS differs
    FROM (SELECT *, CASE WHEN customer_unique_id IS NULL THEN 'customer_unique_id_missing' END AS fault FROM customers)
    WINDOW same AS (PARTITION BY customer_id, fault ORDER BY source_row)
);

CREATE TABLE buyer AS
SELECT customer_id, customer_unique_id AS id FROM customer WHERE reason IS NULL AND customer_id IS NOT NULL;

-- `fault` is the reason why a review cannot be used. One review may rate several orders, so its key is both ids.
CREATE TABLE read_review AS
SELECT
    *,
    CASE
        WHEN review_id IS NULL THEN 'review_id_missing'
        WHEN order_id IS NULL OR order_id NOT IN (SELECT order_id FROM sale) THEN 'order_unknown_or_without_items'
        WHEN review_answer_timestamp IS NULL THEN 'answer_not_dated'
        WHEN bad_date IS NOT NULL THEN 'date_unreadable'
        WHEN coalesce(score, 0) NOT BETWEEN 1 AND 5 THEN 'score_not_from_1_to_5'
    END AS fault
FROM (
    SELECT
        *, utc(review_answer_timestamp) AS answered, try_cast(review_score AS DOUBLE) AS score,
        coalesce(
            unreadable_date('review_answer_timestamp', review_answer_timestamp),
            unreadable_date('review_creation_date', review_creation_date)
        ) AS bad_date
    FROM reviews
);

CREATE TABLE review AS
SELECT
    order_id, answered, score, coalesce(fault, repeated(place, differs)) AS reason,
    CASE
        WHEN fault IS NULL THEN repeated_detail(place, differs)
        WHEN fault = 'date_unreadable' THEN bad_date || ' cannot be read; write dates as 2018-01-31 10:00:00'
        WHEN fault = 'score_not_from_1_to_5' THEN concat('review_score ''', review_score, '''')
    END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS place,
        concat_ws(
            ', ',
            other_value('review_score', score, first_value(score) OVER same),
            other_value('review_answer_timestamp', answered, first_value(answered) OVER same)
        ) AS differs
    FROM read_review
    WINDOW same AS (PARTITION BY review_id, order_id, fault ORDER BY source_row)
);

-- Payments add nothing to a delivery. A payment without a number is never a repeated one.
CREATE TABLE payment AS
SELECT
    coalesce(
        CASE WHEN order_id IS NOT NULL AND payment_sequential IS NOT NULL THEN repeated(place, differs) END,
        'amounts_are_those_of_items'
    ) AS reason,
    CASE WHEN reason = 'repeated_differs' THEN repeated_detail(place, differs) END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS place,
        concat_ws(
            ', ',
            other_value('payment_value', payment_value, first_value(payment_value) OVER same),
            other_value('payment_type', payment_type, first_value(payment_type) OVER same)
        ) AS differs
    FROM order_payments
    WINDOW same AS (PARTITION BY order_id, payment_sequential ORDER BY source_row)
);
