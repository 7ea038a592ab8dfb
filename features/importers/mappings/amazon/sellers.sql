SELECT
    getvariable('seller_id') AS seller_id, getvariable('country') AS country,
    arg_min(currency, purchased) FILTER (is_currency(currency)) AS base_currency, getvariable('category') AS category,
    date_trunc('day', min(purchased)) AS onboarded_at, date_trunc('day', min(purchased)) AS known_at
FROM sale
HAVING count(*) > 0
