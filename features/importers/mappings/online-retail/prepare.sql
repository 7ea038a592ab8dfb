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

CREATE TABLE typed AS
SELECT
    InvoiceNo::VARCHAR AS number,
    upper(coalesce(StockCode::VARCHAR, '')) AS stock_code,
    try_cast(Quantity AS DOUBLE) AS quantity,
    try_cast(UnitPrice AS DECIMAL(18, 4)) AS price,
    coalesce(
        try_cast(InvoiceDate AS TIMESTAMP), try_strptime(InvoiceDate::VARCHAR, getvariable('date_format'))
    ) AS at_time,
    -- Customer numbers are often stored as 17850.0.
    coalesce(try_cast(CustomerID AS DOUBLE)::BIGINT::VARCHAR, CustomerID::VARCHAR) AS buyer,
    Country AS country_name
FROM lines;

-- The outcome of each line: part of an order, part of a refund, or the reason why it is neither.
CREATE TABLE line AS
SELECT
    *,
    CASE WHEN reason IS NULL THEN CASE WHEN number LIKE 'C%' THEN 'line_of_refund' ELSE 'line_of_order' END END AS mapped_to
FROM (
    SELECT
        *,
        CASE
            WHEN number IS NULL THEN 'invoice_number_missing'
            WHEN at_time IS NULL THEN 'date_unreadable'
            WHEN quantity IS NULL OR price IS NULL THEN 'quantity_or_price_unreadable'
            WHEN NOT regexp_matches(number, '^C?[0-9]+$') THEN 'adjustment'
            WHEN stock_code IN ('AMAZONFEE', 'BANK CHARGES', 'CRUK') THEN 'fee'
            WHEN price < 0 THEN 'negative_price'
            WHEN price = 0 THEN 'price_of_zero'
            WHEN number LIKE 'C%' AND quantity >= 0 THEN 'cancellation_without_negative_quantity'
            WHEN number NOT LIKE 'C%' AND quantity <= 0 THEN 'correction_of_stock'
        END AS reason
    FROM typed
);
