SELECT
    number AS order_id,
    getvariable('seller_id') || '-1' AS store_id,
    min(buyer) AS buyer_id,
    min(at_time) AS ordered_at,
    round(sum(quantity::DECIMAL(18, 2) * price), 2) AS amount,
    getvariable('currency') AS currency,
    'direct' AS channel,
    coalesce(min(country.code), min(country_name) FILTER (regexp_matches(country_name, '^[A-Z]{2}$')), 'ZZ') AS buyer_country,
    greatest(1, round(sum(quantity) FILTER (mapped_to = 'line_of_order')))::BIGINT AS items,
    min(at_time) AS known_at
FROM line LEFT JOIN country ON country.name = line.country_name
WHERE mapped_to IN ('line_of_order', 'discount_of_order')
GROUP BY number
