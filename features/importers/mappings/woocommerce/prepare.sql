CREATE MACRO store() AS getvariable('seller_id') || '-woocommerce';

-- Numbers of orders are unique within a store only.
CREATE MACRO in_store(number) AS store() || ':' || number;

CREATE MACRO began(first_order_at) AS CASE
    WHEN getvariable('since') = 'first_order' THEN date_trunc('day', first_order_at)
    WHEN try_cast(getvariable('since') AS DATE) <= first_order_at THEN CAST(getvariable('since') AS DATE)::TIMESTAMP
    ELSE error(concat(
        'since is ''', getvariable('since'), '''. Set a day not after the first order (',
        date_trunc('day', first_order_at)::DATE, '), such as --set since=2024-01-01.'
    ))
END;

CREATE MACRO moment(text) AS coalesce(utc(text), try_strptime(text::VARCHAR, getvariable('date_format')));

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

CREATE TABLE typed AS
SELECT
    order_id::VARCHAR AS number, moment(order_date) AS ordered, moment(paid_date) AS paid,
    replace(lower(status), 'wc-', '') AS status, money(order_total) AS total, upper(order_currency) AS currency,
    sha256(lower(coalesce(customer_email, billing_email))) AS buyer,
    coalesce(shipping_country, billing_country) AS country, orders.source_row, order_date::VARCHAR AS ordered_text,
    paid_date::VARCHAR AS paid_text,
    order_total::VARCHAR AS total_text, wrong_refund.amount AS wrong_amount, wrong_refund.dated AS wrong_date,
    list_sum([
        coalesce(try_cast(regexp_extract(each, '(?:^|\|)\s*quantity:\s*(\d+)', 1) AS BIGINT), 0)
        FOR each IN [line_item_1, line_item_2, line_item_3, line_item_4, line_item_5, line_item_6, line_item_7, line_item_8,
            line_item_9, line_item_10]
    ]) AS items
FROM orders LEFT JOIN wrong_refund ON wrong_refund.source_row = orders.source_row;

CREATE TABLE checked AS
SELECT
    *,
    CASE
        WHEN number IS NULL THEN 'order_id_missing'
        WHEN ordered IS NULL THEN 'order_date_unreadable'
        WHEN total IS NULL THEN 'order_total_unreadable'
        WHEN currency IS NULL THEN 'order_currency_missing'
        WHEN status IN ('pending', 'failed', 'checkout-draft', 'draft', 'trash') THEN 'not_paid'
        WHEN paid_text IS NULL AND coalesce(status, '') NOT IN ('completed', 'processing', 'refunded', 'cancelled', 'on-hold')
            THEN 'status_unknown'
        WHEN status IN ('cancelled', 'on-hold') AND paid_text IS NOT NULL AND paid IS NULL THEN 'paid_date_unreadable'
        WHEN status = 'cancelled' AND paid IS NULL THEN 'cancelled_before_payment'
        WHEN status = 'on-hold' AND paid IS NULL THEN 'on_hold_before_payment'
        WHEN status IS DISTINCT FROM 'cancelled' AND wrong_amount IS NOT NULL THEN 'refund_amount_unreadable'
        WHEN status IS DISTINCT FROM 'cancelled' AND wrong_date IS NOT NULL THEN 'refund_date_unreadable'
    END AS problem
FROM typed;

CREATE TABLE row_of_order AS
SELECT
    *,
    CASE
        WHEN problem IS NOT NULL THEN problem
        WHEN row_number() OVER (PARTITION BY number, problem IS NULL ORDER BY source_row) > 1 THEN 'repeated'
    END AS reason
FROM checked;

CREATE TABLE an_order AS SELECT * FROM row_of_order WHERE reason IS NULL;

CREATE TABLE refunded AS
SELECT
    number, number || '-refund-' || place AS id, currency, total, abs(amount) AS amount,
    greatest(ordered, coalesce(
        dated, least(ordered + to_days(getvariable('refund_days')::INTEGER), (SELECT max(ordered) FROM an_order))
    )) AS at_time
FROM an_order JOIN refund USING (source_row)
WHERE status IS DISTINCT FROM 'cancelled';
