-- What concerns the whole order stands on its first line alone.
CREATE TABLE sale AS
SELECT
    "Name" AS number,
    min(utc("Created at")) AS created,
    max(try_cast("Total" AS DECIMAL(18, 2))) AS total,
    max(try_cast("Refunded Amount" AS DECIMAL(18, 2))) AS refunded,
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
    END AS reason,
    sale.number, sale.cancelled
FROM lines LEFT JOIN sale ON sale.number = lines."Name";

CREATE TABLE an_order AS
SELECT * FROM sale WHERE created IS NOT NULL AND total IS NOT NULL AND currency IS NOT NULL;
