CREATE TABLE listed AS
SELECT
    enterprise_id::VARCHAR AS id, lower(defaulted::VARCHAR) AS defaulted,
    row_number() OVER (PARTITION BY enterprise_id::VARCHAR ORDER BY source_row) = 1 AS first
FROM enterprises;

CREATE TABLE read AS
SELECT
    'sales_invoices' AS source, enterprise_id::VARCHAR AS enterprise, invoice_no::VARCHAR AS number,
    try_cast(invoice_date AS DATE) AS day, status::VARCHAR AS status, try_cast(total_amount AS DOUBLE) AS amount,
    buyer_id::VARCHAR AS partner, try_cast(net_amount AS DOUBLE) AS net, try_cast(tax_amount AS DOUBLE) AS tax
FROM sales_invoices
UNION ALL
SELECT
    'purchase_invoices', enterprise_id::VARCHAR, invoice_no::VARCHAR,
    try_cast(invoice_date AS DATE), status::VARCHAR, try_cast(total_amount AS DOUBLE),
    supplier_id::VARCHAR, try_cast(net_amount AS DOUBLE), try_cast(tax_amount AS DOUBLE)
FROM purchase_invoices;

-- `dated` rows show that an enterprise trades. A number that is reused for another invoice gets a suffix: the
-- invoices of one number are ordered by day first, so a longer ledger later gives the same ids. Identical rows get one
-- id, and `ingest` counts them as duplicates.
CREATE TABLE invoice AS
SELECT
    *,
    coalesce(
        unusable,
        CASE
            WHEN source = 'sales_invoices' AND amount = 0 THEN 'sale_of_zero'
            WHEN source = 'sales_invoices' AND status = 'void' AND amount < 0 THEN 'void_refund'
            WHEN source = 'purchase_invoices' AND amount = 0 THEN 'purchase_of_zero'
            WHEN source = 'purchase_invoices' AND status = 'void' THEN 'void_purchase'
            WHEN source = 'purchase_invoices' AND amount < 0 THEN 'purchase_reduction'
        END
    ) AS reason,
    CASE
        WHEN source = 'purchase_invoices' THEN 'purchase'
        WHEN status = 'void' THEN 'cancelled_order'
        WHEN amount < 0 THEN 'refund'
        ELSE 'order'
    END AS kind,
    enterprise || '-' || number || CASE place WHEN 1 THEN '' ELSE '.' || place END AS id
FROM (
    SELECT
        *,
        CASE
            WHEN enterprise IS NULL OR enterprise NOT IN (SELECT id FROM listed WHERE id IS NOT NULL) THEN 'enterprise_unknown'
            WHEN number IS NULL THEN 'invoice_no_missing'
            WHEN day IS NULL THEN 'invoice_date_not_a_day'
            WHEN status IS NULL OR status NOT IN ('valid', 'void') THEN 'status_unknown'
            WHEN amount IS NULL OR NOT isfinite(amount) THEN 'amount_not_a_number'
        END AS unusable,
        dense_rank() OVER (PARTITION BY source, enterprise, number ORDER BY day, status, amount, partner, net, tax) AS place
    FROM read
);

CREATE TABLE seller AS
SELECT enterprise AS id, min(day)::TIMESTAMP AS since FROM invoice WHERE unusable IS NULL GROUP BY enterprise;
