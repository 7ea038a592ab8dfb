SELECT
    id AS seller_id, getvariable('country') AS country, getvariable('currency') AS base_currency, 'unknown' AS category,
    since AS onboarded_at, since AS known_at
FROM seller
