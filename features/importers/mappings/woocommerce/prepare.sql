CREATE MACRO moment(text) AS coalesce(utc(text), try_strptime(text::VARCHAR, getvariable('date_format')));

CREATE TABLE row_of_order AS
SELECT
    order_id::VARCHAR AS number, moment(order_date) AS ordered, moment(paid_date) AS paid,
    replace(lower(status), 'wc-', '') AS status, try_cast(order_total AS DECIMAL(18, 2)) AS total,
    upper(order_currency) AS currency, sha256(lower(coalesce(customer_email, billing_email))) AS buyer,
    coalesce(shipping_country, billing_country) AS country, refund_items, source_row,
    list_sum([
        coalesce(try_cast(regexp_extract(each, '(?:^|\|)\s*quantity:\s*(\d+)', 1) AS BIGINT), 0)
        FOR each IN [line_item_1, line_item_2, line_item_3, line_item_4, line_item_5, line_item_6, line_item_7, line_item_8,
            line_item_9, line_item_10]
    ]) AS items,
    CASE
        WHEN order_id IS NULL THEN 'order_id_missing'
        WHEN moment(order_date) IS NULL THEN 'order_date_unreadable'
        WHEN try_cast(order_total AS DECIMAL(18, 2)) IS NULL THEN 'order_total_unreadable'
        WHEN order_currency IS NULL THEN 'order_currency_missing'
        WHEN replace(lower(status), 'wc-', '') IN ('pending', 'failed', 'checkout-draft', 'draft', 'trash') THEN 'not_paid'
        WHEN replace(lower(status), 'wc-', '') = 'cancelled' AND moment(paid_date) IS NULL THEN 'cancelled_before_payment'
        WHEN row_number() OVER (PARTITION BY order_id ORDER BY source_row) > 1 THEN 'repeated'
    END AS reason
FROM orders;

CREATE TABLE an_order AS SELECT * FROM row_of_order WHERE reason IS NULL;

-- refund_items holds refunds such as `amount:10.00|reason:too small|date:2020-06-04 10:00:00`, separated by semicolons.
CREATE TABLE refunded AS
SELECT
    number, number || '-refund-' || place AS id, currency, total,
    abs(try_cast(regexp_extract(text, 'amount:\s*(-?[\d.]+)', 1) AS DECIMAL(18, 2))) AS amount,
    greatest(ordered, coalesce(
        moment(nullif(regexp_extract(text, 'date:\s*([^|]+)', 1), '')),
        least(ordered + to_days(getvariable('refund_days')::INTEGER), (SELECT max(ordered) FROM an_order))
    )) AS at_time
FROM (
    SELECT *, unnest(string_split(refund_items, ';')) AS text, generate_subscripts(string_split(refund_items, ';'), 1) AS place
    FROM an_order
    WHERE status <> 'cancelled' AND refund_items IS NOT NULL
)
WHERE regexp_matches(text, 'amount:\s*-?[\d.]+');
