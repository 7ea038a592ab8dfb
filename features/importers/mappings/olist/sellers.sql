SELECT
    seller_id, 'BR' AS country, 'BRL' AS base_currency, category, since AS onboarded_at, since AS known_at
FROM seller JOIN category USING (seller_id)
