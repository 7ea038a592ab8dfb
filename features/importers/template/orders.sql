-- One row per order. The columns are those of the contract (docs/data-contract.md); their order does not matter.
SELECT
    order_number AS order_id,
    getvariable('seller_id') || '-1' AS store_id,
    sha256(lower(customer_email)) AS buyer_id,            -- any stable id; NULL for a guest
    moment AS ordered_at,                                 -- UTC
    amount,                                               -- what the buyer paid, not negative
    currency,
    CASE WHEN channel IN ('search', 'ads', 'livestream', 'social', 'direct') THEN channel ELSE 'other' END AS channel,
    coalesce(country, 'ZZ') AS buyer_country,
    greatest(1, coalesce(try_cast(items AS BIGINT), 1)) AS items,
    moment AS known_at
FROM an_order
WHERE reason IS NULL
