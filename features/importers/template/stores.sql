-- One row per store. A seller may have several.
SELECT
    getvariable('seller_id') || '-1' AS store_id,
    getvariable('seller_id') AS seller_id,
    getvariable('marketplace') AS marketplace,
    min(moment) AS opened_at,
    date_trunc('day', min(moment)) AS known_at
FROM an_order
WHERE reason IS NULL
