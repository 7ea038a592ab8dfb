SELECT
    getvariable('seller_id') AS seller_id, getvariable('country') AS country,
    arg_min(currency, ordered) FILTER (is_currency(currency)) AS base_currency, getvariable('category') AS category,
    began(min(ordered)) AS onboarded_at, began(min(ordered)) AS known_at
FROM an_order
HAVING count(*) > 0
