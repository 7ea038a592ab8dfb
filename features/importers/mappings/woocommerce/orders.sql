SELECT
    in_store(number) AS order_id, store() AS store_id, buyer AS buyer_id, ordered AS ordered_at,
    total AS amount, currency, 'direct' AS channel,
    CASE WHEN regexp_full_match(country, '[A-Z]{2}') THEN country ELSE 'ZZ' END AS buyer_country,
    greatest(1, items) AS items, ordered AS known_at
FROM an_order
