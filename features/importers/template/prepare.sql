-- Optional: tables that several of the other files use. Only CREATE TABLE and CREATE VIEW are allowed here.
-- This is the place to decide what becomes of each row: reason says why a row becomes nothing.
CREATE TABLE an_order AS
SELECT
    *,
    CASE
        WHEN order_number IS NULL THEN 'order_number_missing'
        WHEN try_cast(created_at AS TIMESTAMP) IS NULL THEN 'created_at_unreadable'
        WHEN try_cast(total AS DECIMAL(18, 2)) IS NULL THEN 'total_unreadable'
    END AS reason
FROM orders;

CREATE TABLE a_refund AS
SELECT
    *,
    CASE
        WHEN refund_number IS NULL THEN 'refund_number_missing'
        WHEN try_cast(refunded_at AS TIMESTAMP) IS NULL THEN 'refunded_at_unreadable'
        WHEN try_cast(total AS DECIMAL(18, 2)) IS NULL THEN 'total_unreadable'
    END AS reason
FROM refunds;
