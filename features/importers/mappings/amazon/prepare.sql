-- The other of point and comma, a blank or an apostrophe may separate thousands. Anything else is unreadable.
CREATE MACRO pointed(text) AS
    translate(text::VARCHAR, getvariable('decimal') || CASE getvariable('decimal') WHEN ',' THEN '.' ELSE ',' END, '.,');

CREATE MACRO money(text) AS try_cast(CASE
    WHEN regexp_full_match(pointed(text), '[+-]?(\d+|\d{1,3}(,\d{3})+|\d{1,3}([ ''\x{a0}\x{202f}]\d{3})+)?(\.\d*)?')
        THEN regexp_replace(pointed(text), '[^\d.+-]', '', 'g')
END AS DECIMAL(18, 2));

CREATE MACRO unreadable(name, text) AS CASE WHEN money(text) IS NULL THEN name || ' ''' || text || '''' END;

-- Reports may overlap. Within an order, the item of one file is that of another if both have the same id, else the same
-- product and place among equal products. The line that was updated last counts.
CREATE TABLE delivered AS
SELECT
    *, row_number() OVER same_item AS place_of_line, first_value(line) OVER same_item AS latest
FROM (
    SELECT
        *,
        CASE
            WHEN "order-item-id" IS NULL
                THEN row_number() OVER (PARTITION BY source_file, "amazon-order-id", product ORDER BY source_row)
            ELSE 1
        END AS place
    FROM (
        SELECT
            *, row(*COLUMNS(* EXCLUDE (source_row, source_file))) AS line,
            coalesce(
                "order-item-id", nullif(concat_ws(' ', sku, asin), ''), concat_ws(' ', quantity, "item-price"), ''
            ) AS product
        FROM items
    )
)
WINDOW same_item AS (
    PARTITION BY "amazon-order-id", product, place ORDER BY utc("last-updated-date") DESC NULLS LAST, source_row DESC
);

CREATE MACRO count_of(text) AS try_cast(text AS DECIMAL(18, 3));

-- `fault` is the reason why an item cannot be used.
CREATE TABLE read_item AS
SELECT
    "amazon-order-id" AS number, utc("purchase-date") AS purchased, "sales-channel" AS channel,
    coalesce(count_of(quantity), 0) AS quantity, quantity::VARCHAR AS quantity_text, upper(currency) AS currency,
    "ship-country" AS country, "item-price" AS price_text,
    money("item-price") + coalesce(money("item-tax"), 0) + coalesce(money("shipping-price"), 0)
        + coalesce(money("shipping-tax"), 0) + coalesce(money("gift-wrap-price"), 0) + coalesce(money("gift-wrap-tax"), 0)
        - abs(coalesce(money("item-promotion-discount"), 0)) - abs(coalesce(money("ship-promotion-discount"), 0)) AS amount,
    coalesce(
        unreadable('item-price', "item-price"), unreadable('item-tax', "item-tax"),
        unreadable('shipping-price', "shipping-price"), unreadable('shipping-tax', "shipping-tax"),
        unreadable('gift-wrap-price', "gift-wrap-price"), unreadable('gift-wrap-tax', "gift-wrap-tax"),
        unreadable('item-promotion-discount', "item-promotion-discount"),
        unreadable('ship-promotion-discount', "ship-promotion-discount")
    ) AS wrong_amount,
    CASE
        WHEN "amazon-order-id" IS NULL THEN 'order_id_missing'
        WHEN place_of_line > 1 AND line IS NOT DISTINCT FROM latest THEN 'repeated'
        WHEN place_of_line > 1 THEN 'updated_in_another_line'
        WHEN utc("purchase-date") IS NULL THEN 'purchase_date_unreadable'
        WHEN "sales-channel" IS NULL OR lower("sales-channel") LIKE 'non-amazon%' THEN 'not_sold_on_amazon'
        WHEN lower("order-status") LIKE 'cancel%' OR lower("item-status") LIKE 'cancel%' THEN 'cancelled'
        WHEN money("item-price") IS NULL THEN 'price_missing_or_unreadable'
        WHEN money("item-price") < 0 THEN 'price_negative'
        WHEN wrong_amount IS NOT NULL THEN 'amount_unreadable'
        WHEN quantity_text IS NOT NULL AND coalesce(count_of(quantity_text), -1) < 0 THEN 'quantity_unreadable'
        WHEN amount < 0 THEN 'promotion_above_price'
        WHEN currency IS NULL THEN 'currency_missing'
    END AS fault
FROM delivered;

-- Amounts of several currencies cannot be added.
CREATE TABLE item AS
SELECT
    * EXCLUDE (fault),
    CASE
        WHEN fault IS NULL AND (min(currency) FILTER (fault IS NULL) OVER an_order)
            < (max(currency) FILTER (fault IS NULL) OVER an_order) THEN 'several_currencies_in_one_order'
        ELSE fault
    END AS reason
FROM read_item
WINDOW an_order AS (PARTITION BY number);

CREATE TABLE sale AS
SELECT
    number, min(purchased) AS purchased, min(channel) AS channel, sum(quantity) AS quantity, min(currency) AS currency,
    sum(amount) AS amount, min(country) AS country
FROM item
WHERE reason IS NULL
GROUP BY number;

CREATE TABLE store AS
SELECT
    lower(channel) AS channel, getvariable('seller_id') || '-' || lower(channel) AS id, began(min(purchased)) AS since
FROM sale
GROUP BY lower(channel);

-- Equal lines within one file are distinct payments. Those of another file with the same report are repetitions.
CREATE TABLE settlement_line AS
SELECT *, row_number() OVER (PARTITION BY line, place ORDER BY source_row) > 1 AS repeated
FROM (
    SELECT *, row_number() OVER (PARTITION BY line, source_file ORDER BY source_row) AS place
    FROM (SELECT *, row(*COLUMNS(* EXCLUDE (source_row, source_file))) AS line FROM settlements)
);

-- Whether days or months come first in dates with slashes, by file: a number above 12 is a day.
CREATE TABLE date_order AS
SELECT
    source_file, min("posted-date") FILTER (date_begins_with("posted-date") = 'day') AS day_first,
    min("posted-date") FILTER (date_begins_with("posted-date") = 'month') AS month_first
FROM settlements
GROUP BY source_file;

-- Currency and dates of a settlement may be on its first row only.
CREATE TABLE settled AS
SELECT
    "settlement-id" AS settlement, "transaction-type" AS kind, "order-id" AS number, "adjustment-id" AS adjustment,
    coalesce(lower(sale.channel), lower("marketplace-name")) AS channel, "amount-type" AS amount_type, repeated,
    money(line.amount) AS amount, line.amount::VARCHAR AS amount_text, "posted-date" AS day_text, line.source_file,
    day_first, month_first,
    coalesce(
        utc("posted-date-time"), utc("posted-date"),
        CASE
            WHEN getvariable('date_format') <> 'auto' THEN read_date("posted-date", getvariable('date_format'))
            WHEN month_first IS NULL AND day_first IS NOT NULL THEN try_strptime("posted-date", ['%d/%m/%y', '%d/%m/%Y'])
            WHEN day_first IS NULL AND month_first IS NOT NULL THEN try_strptime("posted-date", ['%m/%d/%y', '%m/%d/%Y'])
        END,
        CASE getvariable('date_format') WHEN 'auto' THEN try_strptime("posted-date", '%d.%m.%Y') END
    ) AS posted,
    coalesce(
        upper(line.currency), min(upper(line.currency)) OVER (PARTITION BY "settlement-id"), sale.currency
    ) AS currency
FROM settlement_line AS line
LEFT JOIN sale ON sale.number = line."order-id"
LEFT JOIN date_order ON date_order.source_file = line.source_file;

CREATE MACRO order_of_dates_unclear(file, day, day_first, month_first) AS error(
    CASE
        WHEN day_first IS NULL THEN concat('posted-date ''', day, ''' of ', file, ' may begin with the day or the month')
        ELSE concat(
            'posted-date of ', file, ' begins with the day in ''', day_first, ''' but with the month in ''', month_first,
            ''''
        )
    END || '. Set --set date_format=%d/%m/%Y or %m/%d/%Y, and import files that differ apart.'
);

CREATE TABLE flow AS
SELECT
    *,
    CASE
        WHEN repeated THEN 'repeated'
        WHEN kind IS NULL THEN 'total_of_the_settlement'
        WHEN kind = 'Order' THEN 'sale_or_fee_of_an_order'
        WHEN NOT regexp_matches(kind, '(?i)^(refund|chargeback refund|a-to-z guarantee refund)$') THEN 'fee_transfer_or_other'
        WHEN amount_type NOT IN ('ItemPrice', 'Promotion') THEN 'fee_of_a_refund'
        WHEN amount IS NULL THEN 'amount_unreadable'
        WHEN posted IS NULL AND getvariable('date_format') = 'auto' AND regexp_matches(day_text, '^\d{1,2}/\d{1,2}/\d')
            AND (day_first IS NULL) = (month_first IS NULL)
            THEN order_of_dates_unclear(source_file, day_text, day_first, month_first)
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
