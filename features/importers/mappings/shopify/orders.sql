SELECT
    in_store(number) AS order_id, store() AS store_id, buyer AS buyer_id, created AS ordered_at,
    total AS amount, currency,
    CASE
        WHEN origin IN ('facebook', 'instagram', 'tiktok', 'pinterest') THEN 'social'
        WHEN origin IN ('google', 'bing') THEN 'search'
        WHEN origin = 'web' THEN 'direct'
        ELSE 'other'
    END AS channel,
    CASE WHEN regexp_full_match(country, '[A-Z]{2}') THEN country ELSE 'ZZ' END AS buyer_country,
    greatest(1, round(items))::BIGINT AS items, created AS known_at
FROM an_order
