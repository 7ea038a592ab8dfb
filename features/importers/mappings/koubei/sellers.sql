SELECT
    id AS seller_id, 'CN' AS country, 'CNY' AS base_currency, category, since AS onboarded_at, since AS known_at
FROM shop JOIN began USING (id)
