CREATE TABLE country AS
SELECT * FROM (VALUES
    ('United Kingdom', 'GB'), ('EIRE', 'IE'), ('Ireland', 'IE'), ('Germany', 'DE'), ('France', 'FR'), ('Spain', 'ES'),
    ('Netherlands', 'NL'), ('Belgium', 'BE'), ('Switzerland', 'CH'), ('Portugal', 'PT'), ('Australia', 'AU'),
    ('Norway', 'NO'), ('Italy', 'IT'), ('Finland', 'FI'), ('Cyprus', 'CY'), ('Sweden', 'SE'), ('Austria', 'AT'),
    ('Denmark', 'DK'), ('Japan', 'JP'), ('Poland', 'PL'), ('Israel', 'IL'), ('USA', 'US'), ('Hong Kong', 'HK'),
    ('Singapore', 'SG'), ('Iceland', 'IS'), ('Canada', 'CA'), ('Greece', 'GR'), ('Malta', 'MT'), ('RSA', 'ZA'),
    ('United Arab Emirates', 'AE'), ('Lebanon', 'LB'), ('Lithuania', 'LT'), ('Brazil', 'BR'), ('Bahrain', 'BH'),
    ('Czech Republic', 'CZ'), ('Saudi Arabia', 'SA'), ('Korea', 'KR'), ('Nigeria', 'NG'), ('Thailand', 'TH'),
    ('West Indies', 'ZZ'), ('Bermuda', 'BM')
) AS t(name, code);

CREATE MACRO used_format() AS
    CASE getvariable('date_format') WHEN 'auto' THEN '%m/%d/%Y %H:%M' ELSE getvariable('date_format') END;

-- Dates that are not ISO 8601 are read with the month first, if each file shows that they are written so.
CREATE TABLE date_order AS
SELECT
    expect_month_first(
        source_file, min(text) FILTER (first = 'day'), min(text) FILTER (first = 'month'),
        min(text) FILTER (first = 'either'), '%m/%d/%Y %H:%M'
    )
FROM (
    SELECT source_file, concat('InvoiceDate ''', InvoiceDate, '''') AS text, date_begins_with(InvoiceDate) AS first
    FROM lines
)
WHERE getvariable('date_format') = 'auto'
GROUP BY source_file;

-- A time without an offset is local time of the shop. In the hour that a clock repeats in autumn, the later one is taken.
CREATE MACRO in_utc(moment) AS CASE
    WHEN regexp_matches(moment::VARCHAR, '\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$') THEN utc(moment)
    -- with four digits of the year: a plain cast reads 12/1/10 as a day of the year 12
    ELSE coalesce(
        CASE WHEN regexp_matches(moment::VARCHAR, '^\d{4}-') THEN try_cast(moment AS TIMESTAMP) END,
        read_date(moment, used_format())
    ) AT TIME ZONE getvariable('time_zone') AT TIME ZONE 'UTC'
END;

CREATE TABLE typed AS
SELECT
    InvoiceNo::VARCHAR AS number,
    upper(coalesce(StockCode::VARCHAR, '')) AS stock_code,
    try_cast(try_cast(Quantity AS DOUBLE) AS DECIMAL(12, 3)) AS quantity,
    try_cast(UnitPrice AS DECIMAL(14, 4)) AS price,
    in_utc(InvoiceDate) AS at_time, InvoiceDate::VARCHAR AS invoice_date,
    -- Customer numbers are often stored as 17850.0, and missing ones as NaN.
    nullif(regexp_replace(CustomerID::VARCHAR, '\.0+$', ''), 'nan') AS buyer,
    Country AS country_name
FROM lines;

-- What a line belongs to, or the reason why it is not mapped. D is a discount: on an invoice it lowers the order; a
-- credit note for one names no invoice and returns no goods, so it is a refund apart from those of goods. M is booked by
-- hand and counts as goods do. Equal lines of one invoice all count: without a line number, they may be two sales.
CREATE TABLE checked AS
SELECT
    *,
    CASE
        WHEN number LIKE 'C%' AND stock_code = 'D' THEN 'discount_after_sale'
        WHEN number LIKE 'C%' THEN 'line_of_refund'
        WHEN stock_code = 'D' AND quantity < 0 THEN 'discount_of_order'
        ELSE 'line_of_order'
    END AS part,
    CASE
        WHEN number IS NULL THEN 'invoice_number_missing'
        WHEN at_time IS NULL THEN 'date_unreadable'
        WHEN quantity IS NULL OR price IS NULL THEN 'quantity_or_price_unreadable'
        WHEN NOT regexp_matches(number, '^C?[0-9]+$') THEN 'adjustment'
        WHEN stock_code IN ('AMAZONFEE', 'BANK CHARGES', 'CRUK') THEN 'fee'
        WHEN price < 0 THEN 'negative_price'
        WHEN price = 0 THEN 'price_of_zero'
        WHEN number LIKE 'C%' AND quantity >= 0 THEN 'cancellation_without_negative_quantity'
        WHEN part = 'line_of_order' AND quantity <= 0 THEN 'correction_of_stock'
    END AS reason
FROM typed;

-- The outcome of each line: part of an order or refund, or the reason why it is neither.
CREATE TABLE line AS
SELECT *, CASE WHEN reason IS NULL THEN part END AS mapped_to
FROM (
    SELECT
        * REPLACE (
            CASE
                WHEN reason IS NULL AND part = 'discount_of_order'
                    AND count(*) FILTER (reason IS NULL AND part = 'line_of_order') OVER (PARTITION BY number) = 0
                    THEN 'discount_without_goods'
                ELSE reason
            END AS reason
        )
    FROM checked
);
