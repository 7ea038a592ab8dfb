SELECT
    'enterprises' AS source,
    CASE WHEN first AND seller.id IS NOT NULL THEN 'seller' END AS mapped_to,
    CASE
        WHEN listed.id IS NULL THEN 'enterprise_id_missing' WHEN NOT first THEN 'listed_twice'
        WHEN seller.id IS NULL THEN 'no_invoice'
    END AS reason,
    count(*) AS rows, NULL AS orders, NULL AS refunds, NULL AS purchases
FROM listed LEFT JOIN seller ON seller.id = listed.id
GROUP BY ALL
UNION ALL
SELECT
    source, CASE WHEN reason IS NULL THEN kind END, reason, count(*),
    count(*) FILTER (reason IS NULL AND kind IN ('order', 'cancelled_order')),
    count(*) FILTER (reason IS NULL AND kind IN ('refund', 'cancelled_order')),
    count(*) FILTER (reason IS NULL AND kind = 'purchase')
FROM invoice
GROUP BY ALL
