CREATE MACRO store() AS getvariable('seller_id') || '-shopify';

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

-- Only the first line of an order has the values of the whole order.
CREATE TABLE sale AS
SELECT
    "Name" AS number,
    min(utc("Created at")) AS created,
    max(try_cast("Total" AS DECIMAL(18, 2))) AS total,
    max(try_cast("Refunded Amount" AS DECIMAL(18, 2))) AS refunded,
    min("Created at"::VARCHAR) FILTER (utc("Created at") IS NULL) AS wrong_created,
    min("Total"::VARCHAR) FILTER (try_cast("Total" AS DECIMAL(18, 2)) IS NULL) AS wrong_total,
    min("Refunded Amount"::VARCHAR) FILTER (try_cast("Refunded Amount" AS DECIMAL(18, 2)) IS NULL) AS wrong_refund,
    min("Fulfilled at"::VARCHAR) FILTER (utc("Fulfilled at") IS NULL) AS wrong_fulfilled,
    min("Cancelled at"::VARCHAR) FILTER (utc("Cancelled at") IS NULL) AS wrong_cancelled,
    sum(coalesce(try_cast("Lineitem quantity" AS DOUBLE), 0)) AS items,
    min(upper("Currency")) AS currency,
    sha256(lower(min("Email"))) AS buyer,
    coalesce(min("Shipping Country"), min("Billing Country")) AS country,
    min(lower("Source")) AS origin,
    min(utc("Fulfilled at")) AS fulfilled,
    -- a voided or expired order without a date was never paid
    CASE
        WHEN min(utc("Cancelled at")) IS NOT NULL THEN greatest(min(utc("Cancelled at")), min(utc("Created at")))
        WHEN min(lower("Financial Status")) IN ('voided', 'expired') THEN min(utc("Created at"))
    END AS cancelled
FROM lines
WHERE "Name" IS NOT NULL
GROUP BY "Name";

CREATE TABLE line AS
SELECT
    CASE
        WHEN "Name" IS NULL THEN 'name_missing'
        WHEN sale.created IS NULL THEN 'created_at_missing_or_unreadable'
        WHEN sale.total IS NULL THEN 'total_missing_or_unreadable'
        WHEN sale.currency IS NULL THEN 'currency_missing'
        WHEN sale.wrong_refund IS NOT NULL THEN 'refunded_amount_unreadable'
        WHEN sale.wrong_fulfilled IS NOT NULL THEN 'fulfilled_at_unreadable'
        WHEN sale.wrong_cancelled IS NOT NULL THEN 'cancelled_at_unreadable'
    END AS reason,
    sale.*
FROM lines LEFT JOIN sale ON sale.number = lines."Name";

CREATE TABLE an_order AS
SELECT *
FROM sale
WHERE number IN (SELECT number FROM line WHERE reason IS NULL);
