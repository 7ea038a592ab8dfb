SELECT
    getvariable('seller_id') AS seller_id, getvariable('country') AS country, getvariable('currency') AS base_currency,
    getvariable('category') AS category, began(min(at_time)) AS onboarded_at,
    began(min(at_time)) AS known_at
FROM line
WHERE mapped_to IS NOT NULL
