-- A review of an order with several sellers rates each of them, on the day of the buyer's answer.
SELECT
    seller_id || '-1' AS store_id, answered::DATE AS day, count(*) AS ratings, round(avg(score), 6) AS stars,
    answered::DATE + INTERVAL 1 DAY AS known_at
FROM review JOIN sale USING (order_id)
WHERE reason IS NULL
GROUP BY seller_id, answered::DATE
