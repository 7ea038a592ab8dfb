-- Optional: tables and macros that several of the other files use. Only CREATE statements are allowed here.

-- The format of times. utc() reads ISO 8601 such as 2025-01-03T10:12:00+02:00; a time without an offset is taken as UTC.
CREATE MACRO time_of(moment) AS utc(moment);
-- If your export has another format, remove the -- of one of these lines and set the format and the time zone.
-- Day first, in UTC, such as 31.12.2024 18:40:
-- CREATE OR REPLACE MACRO time_of(moment) AS try_strptime(moment, '%d.%m.%Y %H:%M');
-- Local time, such as 2024-12-31 18:40 in Berlin:
-- CREATE OR REPLACE MACRO time_of(moment) AS try_cast(moment AS TIMESTAMP) AT TIME ZONE 'Europe/Berlin' AT TIME ZONE 'UTC';
-- Day first and local time, such as 31/12/2024 18:40 in Paris:
-- CREATE OR REPLACE MACRO time_of(moment) AS try_strptime(moment, '%d/%m/%Y %H:%M') AT TIME ZONE 'Europe/Paris' AT TIME ZONE 'UTC';

-- The format of amounts.
CREATE MACRO amount_of(number) AS try_cast(number AS DECIMAL(18, 2));
-- Decimal comma, such as 1.234,50:
-- CREATE OR REPLACE MACRO amount_of(number) AS try_cast(replace(replace(number, '.', ''), ',', '.') AS DECIMAL(18, 2));
-- Separators of thousands, such as 1,234.50:
-- CREATE OR REPLACE MACRO amount_of(number) AS try_cast(replace(number, ',', '') AS DECIMAL(18, 2));

-- Decide here which rows are mapped: reason is why a row is not mapped.
CREATE TABLE an_order AS
SELECT
    *, time_of(created_at) AS moment, amount_of(total) AS amount,
    CASE
        WHEN order_number IS NULL THEN 'order_number_missing'
        WHEN moment IS NULL THEN 'created_at_unreadable'
        WHEN amount IS NULL THEN 'total_unreadable'
    END AS reason
FROM orders;

CREATE TABLE a_refund AS
SELECT
    *, time_of(refunded_at) AS moment, amount_of(total) AS amount,
    CASE
        WHEN refund_number IS NULL THEN 'refund_number_missing'
        WHEN moment IS NULL THEN 'refunded_at_unreadable'
        WHEN amount IS NULL THEN 'total_unreadable'
    END AS reason
FROM refunds;
