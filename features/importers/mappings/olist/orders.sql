SELECT
    id AS order_id, seller_id || '-1' AS store_id,
    -- customer_id is new with every order; customer_unique_id is the buyer
    customer.customer_unique_id AS buyer_id,
    purchased AS ordered_at, amount, 'BRL' AS currency, 'other' AS channel, 'BR' AS buyer_country, items,
    purchased AS known_at
FROM sale
LEFT JOIN customer ON customer.customer_id = sale.customer_id AND customer.reason IS NULL
