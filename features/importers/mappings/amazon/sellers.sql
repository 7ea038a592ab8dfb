SELECT
    getvariable('seller_id') AS seller_id, getvariable('country') AS country,
    arg_min(currency, purchased) FILTER (is_currency(currency)) AS base_currency, getvariable('category') AS category,
    began(min(purchased)) AS onboarded_at, began(min(purchased)) AS known_at
FROM sale
HAVING count(*) > 0
