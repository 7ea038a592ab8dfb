-- Shops that can be sellers. A repeated shop counts once.
CREATE TABLE shop AS
SELECT shop_id::VARCHAR AS id, min(try_cast(per_pay AS DOUBLE)) AS ticket, coalesce(min(cate_1_name), 'unknown') AS category
FROM shops
WHERE shop_id IS NOT NULL
GROUP BY 1;

-- The outcome of each payments row: an order per payment, or the reason why it is not mapped.
CREATE TABLE paid AS
SELECT
    shop.id, try_cast(day AS DATE) AS day, try_cast(payments AS BIGINT) AS payments, shop.ticket,
    CASE
        WHEN shop.id IS NULL THEN 'shop_unknown'
        WHEN try_cast(day AS DATE) IS NULL THEN 'day_unreadable'
        WHEN coalesce(try_cast(payments AS BIGINT), 0) < 1 THEN 'no_payment'
        WHEN NOT coalesce(shop.ticket > 0 AND isfinite(shop.ticket), false) THEN 'no_average_ticket'
    END AS reason
FROM payments LEFT JOIN shop ON shop.id = payments.shop_id::VARCHAR;

CREATE TABLE began AS
SELECT id, min(day)::TIMESTAMP AS since FROM paid WHERE reason IS NULL GROUP BY id;

CREATE TABLE viewed AS
SELECT
    began.id, try_cast(day AS DATE) AS day, try_cast(views AS BIGINT) AS views,
    CASE
        WHEN began.id IS NULL THEN 'shop_unknown_or_without_payments'
        WHEN try_cast(day AS DATE) IS NULL THEN 'day_unreadable'
        WHEN try_cast(views AS BIGINT) IS NULL THEN 'views_unreadable'
    END AS reason
FROM views LEFT JOIN began ON began.id = views.shop_id::VARCHAR;
