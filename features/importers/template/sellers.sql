-- One row per seller. known_at says since when the platform knew the row: as of earlier days nobody sees it.
SELECT
    getvariable('seller_id') AS seller_id,
    getvariable('country') AS country,                    -- ISO 3166, such as US; ZZ if unknown
    min(currency) FILTER (is_currency(currency)) AS base_currency, -- ISO 4217, such as USD
    getvariable('category') AS category,
    min(moment) AS onboarded_at,
    date_trunc('day', min(moment)) AS known_at
FROM an_order
WHERE reason IS NULL
