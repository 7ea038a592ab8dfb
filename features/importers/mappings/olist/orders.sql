SELECT
    sale.id AS order_id, seller_id || '-1' AS store_id,
    -- customer_id is new with every order; customer_unique_id is the buyer
    buyer.id AS buyer_id,
    purchased AS ordered_at, amount, 'BRL' AS currency, 'other' AS channel, 'BR' AS buyer_country, items,
    purchased AS known_at
FROM sale
LEFT JOIN buyer USING (customer_id)
