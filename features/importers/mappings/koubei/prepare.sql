CREATE MACRO day_of(text) AS CASE WHEN isfinite(try_cast(text AS DATE)) THEN try_cast(text AS DATE) END;
CREATE MACRO whole(number) AS CASE WHEN try_cast(number AS DOUBLE) % 1 = 0 THEN try_cast(number AS BIGINT) END;

-- Shops that can be sellers. Of the rows of one shop, the first one counts.
CREATE TABLE listed AS
SELECT
    *, row_number() OVER same AS place,
    concat_ws(
        ', ',
        other_value('per_pay', per_pay, first_value(per_pay) OVER same),
        other_value('cate_1_name', cate_1_name, first_value(cate_1_name) OVER same)
    ) AS differs
FROM shops
WINDOW same AS (PARTITION BY shop_id ORDER BY source_row);

CREATE TABLE shop AS
SELECT shop_id::VARCHAR AS id, try_cast(per_pay AS DOUBLE) AS ticket, coalesce(cate_1_name, 'unknown') AS category
FROM listed
WHERE shop_id IS NOT NULL AND place = 1;

-- The outcome of each payments row: an order per payment, or the reason why it is not mapped. `fault` is the reason why it
-- cannot be used. Of the rows of one shop and day, the first usable one counts.
CREATE TABLE paid AS
SELECT
    id, day, payments, ticket, coalesce(fault, repeated(place, differs)) AS reason,
    CASE WHEN fault IS NULL THEN repeated_detail(place, differs) ELSE fault_detail END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS place,
        coalesce(other_value('payments', payments, first_value(payments) OVER same), '') AS differs
    FROM (
        SELECT
            shop.id, day_of(day) AS day, whole(payments) AS payments, shop.ticket, source_row,
            CASE
                WHEN shop.id IS NULL THEN 'shop_unknown'
                WHEN day_of(day) IS NULL THEN 'day_unreadable'
                WHEN whole(payments.payments) IS NULL AND payments.payments IS NOT NULL THEN 'payments_not_a_whole_number'
                WHEN coalesce(whole(payments.payments), 0) < 1 THEN 'no_payment'
                WHEN whole(payments.payments) > 1000000 THEN 'more_than_a_million_payments'
                WHEN NOT coalesce(shop.ticket > 0 AND isfinite(shop.ticket), false) THEN 'no_average_ticket'
            END AS fault,
            CASE fault WHEN 'payments_not_a_whole_number' THEN concat('payments ''', payments.payments, '''') END
                AS fault_detail
        FROM payments LEFT JOIN shop ON shop.id = payments.shop_id::VARCHAR
    )
    WINDOW same AS (PARTITION BY id, day, fault IS NULL ORDER BY source_row)
);

CREATE TABLE began AS
SELECT id, min(day)::TIMESTAMP AS since FROM paid WHERE reason IS NULL GROUP BY id;

CREATE TABLE viewed AS
SELECT
    id, day, views, coalesce(fault, repeated(place, differs)) AS reason,
    CASE WHEN fault IS NULL THEN repeated_detail(place, differs) ELSE fault_detail END AS detail
FROM (
    SELECT
        *, row_number() OVER same AS place,
        coalesce(other_value('views', views, first_value(views) OVER same), '') AS differs
    FROM (
        SELECT
            began.id, day_of(day) AS day, whole(views) AS views, source_row,
            CASE
                WHEN began.id IS NULL THEN 'shop_unknown_or_without_payments'
                WHEN day_of(day) IS NULL THEN 'day_unreadable'
                WHEN whole(views.views) IS NULL THEN 'views_not_a_whole_number'
                WHEN whole(views.views) < 0 THEN 'views_negative'
            END AS fault,
            CASE WHEN fault LIKE 'views_%' THEN concat('views ''', views.views, '''') END AS fault_detail
        FROM views LEFT JOIN began ON began.id = views.shop_id::VARCHAR
    )
    WINDOW same AS (PARTITION BY id, day, fault IS NULL ORDER BY source_row)
);
