SELECT
    'items' AS source, CASE WHEN reason IS NULL THEN 'item_of_order' END AS mapped_to, reason,
    CASE
        WHEN reason IN ('price_missing_or_unreadable', 'amount_unreadable') THEN
            min(wrong_amount) || ' cannot be read; the decimal point is set with --set decimal=...'
        WHEN reason = 'price_negative' THEN concat('item-price ''', min(price_text), '''; write 0 or more')
        WHEN reason = 'quantity_unreadable' THEN
            concat('quantity ''', min(quantity_text), ''' cannot be read; write a number of 0 or more')
        WHEN reason = 'promotion_above_price' THEN
            concat('item-price ''', min(price_text), ''' with tax and shipping, less promotions, is ', min(amount))
        WHEN reason = 'several_currencies_in_one_order' THEN
            concat('order ', min(number), ' has items in ', min(currency), ' and ', max(currency))
    END AS detail,
    count(*) AS rows, count(DISTINCT number) FILTER (reason IS NULL) AS orders
FROM item
GROUP BY reason
UNION ALL
SELECT
    'settlements', CASE WHEN reason IS NULL THEN 'part_of_refund' END, reason,
    CASE reason
        WHEN 'amount_unreadable' THEN
            'amount ''' || min(amount_text) || ''' cannot be read; the decimal point is set with --set decimal=...'
        WHEN 'posted_date_unreadable' THEN
            'posted-date ''' || min(day_text) || ''' cannot be read; how dates are written is set with --set date_format=...'
    END,
    count(*), NULL
FROM flow
GROUP BY reason
