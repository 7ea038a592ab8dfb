SELECT
    number AS order_id, getvariable('seller_id') || '-' || lower(channel) AS store_id, purchased AS ordered_at, amount,
    currency, 'other' AS channel, CASE WHEN regexp_full_match(country, '[A-Z]{2}') THEN country ELSE 'ZZ' END AS buyer_country,
    greatest(1, round(quantity))::BIGINT AS items, purchased AS known_at
FROM sale
