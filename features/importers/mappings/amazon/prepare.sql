CREATE MACRO money(text) AS try_cast(replace(text::VARCHAR, getvariable('decimal'), '.') AS DECIMAL(18, 2));

CREATE TABLE item AS
SELECT
    "amazon-order-id" AS number, utc("purchase-date") AS purchased, "sales-channel" AS channel,
    coalesce(try_cast(quantity AS DOUBLE), 0) AS quantity, upper(currency) AS currency, "ship-country" AS country,
    money("item-price") + coalesce(money("item-tax"), 0) + coalesce(money("shipping-price"), 0)
        + coalesce(money("shipping-tax"), 0) + coalesce(money("gift-wrap-price"), 0) + coalesce(money("gift-wrap-tax"), 0)
        - abs(coalesce(money("item-promotion-discount"), 0)) - abs(coalesce(money("ship-promotion-discount"), 0)) AS amount,
    CASE
        WHEN "amazon-order-id" IS NULL THEN 'order_id_missing'
        WHEN utc("purchase-date") IS NULL THEN 'purchase_date_unreadable'
        WHEN "sales-channel" IS NULL OR lower("sales-channel") LIKE 'non-amazon%' THEN 'not_sold_on_amazon'
        WHEN lower("order-status") LIKE 'cancel%' OR lower("item-status") LIKE 'cancel%' THEN 'cancelled'
        WHEN money("item-price") IS NULL THEN 'price_missing_or_unreadable'
        WHEN currency IS NULL THEN 'currency_missing'
    END AS reason
FROM items;

CREATE TABLE sale AS
SELECT
    number, min(purchased) AS purchased, min(channel) AS channel, sum(quantity) AS quantity, min(currency) AS currency,
    greatest(0, sum(amount)) AS amount, min(country) AS country
FROM item
WHERE reason IS NULL
GROUP BY number;

CREATE TABLE store AS
SELECT
    lower(channel) AS channel, getvariable('seller_id') || '-' || lower(channel) AS id,
    date_trunc('day', min(purchased)) AS since
FROM sale
GROUP BY lower(channel);

-- Currency and dates of a settlement may stand on its first row alone.
CREATE TABLE settled AS
SELECT
    "settlement-id" AS settlement, "transaction-type" AS kind, "order-id" AS number, "adjustment-id" AS adjustment,
    coalesce(lower(sale.channel), lower("marketplace-name")) AS channel, "amount-type" AS amount_type,
    money(settlements.amount) AS amount,
    coalesce(
        utc("posted-date-time"), utc("posted-date"),
        try_strptime("posted-date", ['%d.%m.%Y', '%d/%m/%Y', '%d/%m/%y', '%m/%d/%Y'])
    ) AS posted,
    coalesce(
        upper(settlements.currency), min(upper(settlements.currency)) OVER (PARTITION BY "settlement-id"), sale.currency
    ) AS currency
FROM settlements LEFT JOIN sale ON sale.number = settlements."order-id";

CREATE TABLE flow AS
SELECT
    *,
    CASE
        WHEN kind IS NULL THEN 'total_of_the_settlement'
        WHEN kind = 'Order' THEN 'sale_or_fee_of_an_order'
        WHEN NOT regexp_matches(kind, '(?i)^(refund|chargeback refund|a-to-z guarantee refund)$') THEN 'fee_transfer_or_other'
        WHEN amount_type NOT IN ('ItemPrice', 'Promotion') THEN 'fee_of_a_refund'
        WHEN amount IS NULL THEN 'amount_unreadable'
        WHEN posted IS NULL THEN 'posted_date_unreadable'
        WHEN currency IS NULL THEN 'currency_missing'
        WHEN channel IS NULL OR channel NOT IN (SELECT channel FROM store) THEN 'store_without_orders'
    END AS reason
FROM settled;

CREATE TABLE refunded AS
SELECT
    coalesce(adjustment, number || '-' || strftime(posted, '%Y%m%d%H%M%S'), settlement) || '-' || lower(replace(kind, ' ', '-')) AS id,
    min(number) AS number, min(channel) AS channel, min(posted) AS posted, -sum(amount) AS amount, min(currency) AS currency,
    min(kind) AS kind
FROM flow
WHERE reason IS NULL
GROUP BY 1
HAVING sum(amount) < 0;
