CREATE MACRO store() AS getvariable('seller_id') || '-' || getvariable('store');

-- Numbers of orders are unique within a store only.
CREATE MACRO in_store(number) AS store() || ':' || number;

CREATE MACRO used_format() AS
    CASE getvariable('date_format') WHEN 'auto' THEN '%m/%d/%Y %H:%M:%S' ELSE getvariable('date_format') END;

CREATE MACRO moment(text) AS coalesce(utc(text), read_date(text, used_format()));

CREATE MACRO is_known(status) AS coalesce(status, '') IN ('completed', 'processing', 'refunded', 'cancelled', 'on-hold');

-- A comma, a blank or an apostrophe may separate thousands, and a currency sign may precede or follow the number.
CREATE MACRO plain(text) AS regexp_replace(text::VARCHAR, '^([+-]?)\s*\p{Sc}\s*|\s*\p{Sc}$', '\1');

CREATE MACRO money(text) AS try_cast(CASE
    WHEN regexp_full_match(plain(text), '[+-]?(\d+|\d{1,3}(,\d{3})+|\d{1,3}([ ''\x{a0}\x{202f}]\d{3})+)?(\.\d*)?')
        THEN regexp_replace(plain(text), '[^\d.+-]', '', 'g')
END AS DECIMAL(18, 2));

-- refund_items has refunds such as `amount:10.00|reason:too small|date:2020-06-04 10:00:00`, separated by semicolons. A
-- reason may contain a semicolon, so a refund begins only before the key of the first refund.
CREATE TABLE refund AS
SELECT
    source_row, place, amount_text, date_text, money(amount_text) AS amount, moment(date_text) AS dated
FROM (
    SELECT
        source_row, place,
        coalesce(nullif(trim(regexp_extract(text, '(?i)(?:^|\|)\s*amount\s*:([^|]*)', 1)), ''), text) AS amount_text,
        nullif(trim(regexp_extract(text, '(?i)(?:^|\|)\s*date\s*:([^|]*)', 1)), '') AS date_text
    FROM (
        SELECT
            source_row, rtrim(unnest(texts), '; ') AS text, generate_subscripts(texts, 1) AS place
        FROM (
            SELECT
                source_row,
                string_split(
                    regexp_replace(refund_items, ';\s*' || key || '\s*:', chr(30) || key || ':', 'gi'), chr(30)
                ) AS texts
            FROM (SELECT source_row, refund_items, regexp_extract(refund_items, '^\s*(\w+)\s*:', 1) AS key FROM orders)
            WHERE refund_items IS NOT NULL
        )
    )
);

CREATE TABLE wrong_refund AS
SELECT
    source_row, min(amount_text) FILTER (amount IS NULL) AS amount,
    min(date_text) FILTER (date_text IS NOT NULL AND dated IS NULL) AS dated
FROM refund
GROUP BY source_row
HAVING count(*) FILTER (amount IS NULL OR (date_text IS NOT NULL AND dated IS NULL)) > 0;

-- Dates that are not ISO 8601 are read with the month first, if each file shows that they are written so.
CREATE TABLE date_order AS
SELECT
    expect_month_first(
        source_file, min(text) FILTER (first = 'day'), min(text) FILTER (first = 'month'),
        min(text) FILTER (first = 'either'), '%m/%d/%Y %H:%M:%S'
    )
FROM (
    SELECT source_file, concat(name, ' ''', date, '''') AS text, date_begins_with(date) AS first
    FROM (
        SELECT source_file, 'order_date' AS name, order_date::VARCHAR AS date FROM orders
        UNION ALL SELECT source_file, 'paid_date', paid_date::VARCHAR FROM orders
        UNION ALL SELECT source_file, 'date in refund_items', date_text FROM refund JOIN orders USING (source_row)
    )
)
WHERE getvariable('date_format') = 'auto'
GROUP BY source_file;

CREATE TABLE typed AS
SELECT
    order_id::VARCHAR AS number, moment(order_date) AS ordered, moment(paid_date) AS paid,
    replace(lower(status), 'wc-', '') AS status, money(order_total) AS total, upper(order_currency) AS currency,
    sha256(lower(coalesce(customer_email, billing_email))) AS buyer,
    coalesce(shipping_country, billing_country) AS country, orders.source_row, order_date::VARCHAR AS ordered_text,
    paid_date::VARCHAR AS paid_text, refund_items::VARCHAR AS refund_text,
    order_total::VARCHAR AS total_text, wrong_refund.amount AS wrong_amount, wrong_refund.dated AS wrong_date,
    list_sum([
        coalesce(try_cast(regexp_extract(each, '(?:^|\|)\s*quantity:\s*(\d+)', 1) AS BIGINT), 0)
        FOR each IN [line_item_1, line_item_2, line_item_3, line_item_4, line_item_5, line_item_6, line_item_7, line_item_8,
            line_item_9, line_item_10]
    ]) AS items
FROM orders LEFT JOIN wrong_refund ON wrong_refund.source_row = orders.source_row;

-- `fault` is the reason why an order cannot be used.
CREATE TABLE checked AS
SELECT
    *,
    CASE
        WHEN number IS NULL THEN 'order_id_missing'
        WHEN ordered IS NULL THEN 'order_date_unreadable'
        WHEN total IS NULL THEN 'order_total_unreadable'
        WHEN currency IS NULL THEN 'order_currency_missing'
        WHEN status IN ('pending', 'failed', 'checkout-draft', 'draft', 'trash') THEN 'not_paid'
        WHEN paid_text IS NULL AND NOT is_known(status) THEN 'status_unknown'
        WHEN status IN ('cancelled', 'on-hold') AND paid_text IS NOT NULL AND paid IS NULL THEN 'paid_date_unreadable'
        WHEN status = 'cancelled' AND paid IS NULL THEN 'cancelled_before_payment'
        WHEN status = 'on-hold' AND paid IS NULL THEN 'on_hold_before_payment'
        WHEN status IS DISTINCT FROM 'cancelled' AND wrong_amount IS NOT NULL THEN 'refund_amount_unreadable'
        WHEN status IS DISTINCT FROM 'cancelled' AND wrong_date IS NOT NULL THEN 'refund_date_unreadable'
    END AS fault
FROM typed;

CREATE TABLE row_of_order AS
SELECT
    * EXCLUDE (fault, place, differs), coalesce(fault, repeated(place, differs)) AS reason,
    CASE WHEN fault IS NULL THEN repeated_detail(place, differs) END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS place,
        concat_ws(
            ', ',
            other_value('status', status, first_value(status) OVER same),
            other_value('order_date', ordered, first_value(ordered) OVER same),
            other_value('paid_date', paid, first_value(paid) OVER same),
            other_value('order_total', total, first_value(total) OVER same),
            other_value('order_currency', currency, first_value(currency) OVER same),
            other_value('refund_items', refund_text, first_value(refund_text) OVER same),
            other_value('country', country, first_value(country) OVER same),
            other_value('quantity', items, first_value(items) OVER same),
            -- without the address: it is that of a buyer
            CASE WHEN buyer IS DISTINCT FROM first_value(buyer) OVER same THEN 'another email address' END
        ) AS differs
    FROM checked
    WINDOW same AS (PARTITION BY number, fault IS NULL ORDER BY source_row)
);

CREATE TABLE an_order AS SELECT * FROM row_of_order WHERE reason IS NULL;

-- A refund whose assumed date is after the export comes with a later export. At another date, it would differ from that one.
CREATE MACRO is_later(at_time) AS
    at_time > greatest((SELECT max(ordered) FROM an_order), getvariable('covers_through')::TIMESTAMP);

-- Refunds of an order end where its total is reached.
CREATE TABLE refunded AS
SELECT *, least(asked, greatest(0, total - coalesce(sum(asked) OVER earlier, 0))) AS amount
FROM (
    SELECT
        number, place, number || '-refund-' || place AS id, currency, total, abs(amount) AS asked,
        greatest(ordered, coalesce(dated, ordered + to_days(getvariable('refund_days')::INTEGER))) AS at_time,
        dated IS NULL AND is_later(at_time) AS later
    FROM an_order JOIN refund USING (source_row)
    WHERE status IS DISTINCT FROM 'cancelled'
)
WINDOW earlier AS (PARTITION BY number ORDER BY at_time, place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);

CREATE TABLE refunded_too_much AS
SELECT number, concat('refunds of ', sum(asked), ' exceed the total ', min(total), ' and are cut to it') AS detail
FROM refunded
GROUP BY number
HAVING sum(asked) > sum(amount);

CREATE TABLE refunded_without_items AS
SELECT *, is_later(at_time) AS later
FROM (
    SELECT number, total AS amount, currency, ordered + to_days(getvariable('refund_days')::INTEGER) AS at_time
    FROM an_order
    WHERE status = 'refunded' AND number NOT IN (SELECT number FROM refunded WHERE amount > 0)
);

CREATE TABLE refunded_later AS
SELECT number FROM refunded WHERE later AND amount > 0
UNION
SELECT number FROM refunded_without_items WHERE later;
