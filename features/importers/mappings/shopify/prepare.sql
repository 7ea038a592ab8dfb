CREATE MACRO store() AS getvariable('seller_id') || '-' || getvariable('store');

-- Numbers of orders are unique within a store only.
CREATE MACRO in_store(number) AS store() || ':' || number;

CREATE MACRO money(amount) AS try_cast(amount AS DECIMAL(18, 2));
CREATE MACRO whole(quantity) AS try_cast(quantity AS DECIMAL(18, 3));

-- Exports may overlap. An export of an order begins with its first line, the only one with the values of the whole order,
-- unless an app repeats them on each line. So a total begins the next export (`place`) of the order in another file, or
-- apart from the order's line before it.
CREATE TABLE numbered AS
SELECT *, 1 + count(*) FILTER (begins) OVER (PARTITION BY "Name" ORDER BY source_row) AS place
FROM (
    SELECT
        *, coalesce(
            ("Total" IS NOT NULL OR "Financial Status" IS NOT NULL)
            AND (source_file <> lag(source_file) OVER an_order OR source_row > 1 + lag(source_row) OVER an_order),
            false
        ) AS begins
    FROM lines
    WINDOW an_order AS (PARTITION BY "Name" ORDER BY source_row)
);

CREATE TABLE exported AS
SELECT
    "Name" AS number, place, min(source_row) AS first_row,
    min(utc("Created at")) AS created,
    max(money("Total")) AS total,
    max(money("Refunded Amount")) AS refund,
    min("Created at"::VARCHAR) FILTER (utc("Created at") IS NULL) AS wrong_created,
    min("Total"::VARCHAR) FILTER (money("Total") IS NULL) AS wrong_total,
    min("Refunded Amount"::VARCHAR) FILTER (coalesce(money("Refunded Amount"), -1) < 0) AS wrong_refund,
    min("Cancelled at"::VARCHAR) FILTER (utc("Cancelled at") IS NULL) AS wrong_cancelled,
    min("Lineitem quantity"::VARCHAR) FILTER (coalesce(whole("Lineitem quantity"), -1) < 0) AS wrong_quantity,
    sum(whole("Lineitem quantity")) AS items,
    min(upper("Currency")) AS currency,
    sha256(lower(min("Email"))) AS buyer,
    coalesce(min("Shipping Country"), min("Billing Country")) AS country,
    min(lower("Source")) AS origin,
    min(lower("Financial Status")) AS status,
    -- voided: the buyer had authorised the payment
    CASE
        WHEN min(utc("Cancelled at")) IS NOT NULL THEN greatest(min(utc("Cancelled at")), min(utc("Created at")))
        WHEN min(lower("Financial Status")) = 'voided' THEN min(utc("Created at"))
    END AS cancelled
FROM numbered
GROUP BY "Name", place;

-- `fault` is the reason why an order cannot be used.
CREATE TABLE sale AS
SELECT
    * EXCLUDE (fault, export, differs, refund), CASE WHEN refund > total THEN total ELSE refund END AS refunded,
    CASE WHEN refund > greatest(total, 0) THEN concat('Refunded Amount ', refund, ' exceeds the Total ', total, ' and is cut to it') END
        AS cut,
    coalesce(fault, repeated(export, differs)) AS reason,
    CASE WHEN fault IS NULL THEN repeated_detail(export, differs) END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS export,
        concat_ws(
            ', ',
            other_value('Financial Status', status, first_value(status) OVER same),
            other_value('Created at', created, first_value(created) OVER same),
            other_value('Total', total, first_value(total) OVER same),
            other_value('Refunded Amount', refund, first_value(refund) OVER same),
            other_value('Cancelled at', cancelled, first_value(cancelled) OVER same),
            other_value('Currency', currency, first_value(currency) OVER same),
            other_value('Lineitem quantity', items, first_value(items) OVER same),
            other_value('Shipping Country', country, first_value(country) OVER same),
            other_value('Source', origin, first_value(origin) OVER same),
            -- without the address: it is that of a buyer
            CASE WHEN buyer IS DISTINCT FROM first_value(buyer) OVER same THEN 'another Email' END
        ) AS differs
    FROM (
        SELECT
            *,
            CASE
                WHEN number IS NULL THEN 'name_missing'
                WHEN created IS NULL THEN 'created_at_missing_or_unreadable'
                WHEN total IS NULL THEN 'total_missing_or_unreadable'
                WHEN currency IS NULL THEN 'currency_missing'
                WHEN money(wrong_refund) < 0 THEN 'refunded_amount_negative'
                WHEN wrong_refund IS NOT NULL THEN 'refunded_amount_unreadable'
                WHEN wrong_cancelled IS NOT NULL THEN 'cancelled_at_unreadable'
                WHEN wrong_quantity IS NOT NULL THEN 'lineitem_quantity_unreadable'
                WHEN cancelled IS NOT NULL AND status IN ('pending', 'unpaid', 'expired') THEN 'cancelled_before_payment'
                WHEN cancelled IS NOT NULL THEN NULL
                WHEN status IN ('pending', 'authorized', 'unpaid', 'expired') THEN 'not_paid'
                WHEN status = 'partially_paid' THEN 'partially_paid'
                WHEN coalesce(status, '') NOT IN ('paid', 'partially_refunded', 'refunded') THEN 'financial_status_unknown'
            END AS fault
        FROM exported
    )
    WINDOW same AS (PARTITION BY number, fault IS NULL ORDER BY place)
);

CREATE TABLE an_order AS
SELECT *, created + to_days(getvariable('refund_days')::INTEGER) AS refund_at FROM sale WHERE reason IS NULL;

-- A refund whose date is after the export comes with a later export. At another date, it would differ from that one.
CREATE TABLE refunded_later AS
SELECT number FROM an_order
WHERE
    cancelled IS NULL AND refunded > 0
    AND refund_at > greatest((SELECT max(created) FROM an_order), getvariable('covers_through')::TIMESTAMP);
