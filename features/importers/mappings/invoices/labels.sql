SELECT
    id AS seller_id,
    CASE
        WHEN min(defaulted) IN ('true', 'false') AND min(defaulted) = max(defaulted) THEN min(defaulted)
        ELSE error('defaulted of enterprise ' || id || ' is ''' || string_agg(DISTINCT defaulted, ''' and ''' ORDER BY defaulted)
            || '''; allowed are true, false and empty')
    END AS bad,
    getvariable('covers_through') AS as_of
FROM listed JOIN seller USING (id)
WHERE defaulted IS NOT NULL
GROUP BY id
