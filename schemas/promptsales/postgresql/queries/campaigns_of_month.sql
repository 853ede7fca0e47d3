-- Which campaigns cost or brought something in a month, the greatest first, from one place of that order on? (COALESCE, CASE, JOIN)
SELECT
    ordered.id,
    ordered.name,
    ordered.status,
    ordered.impressions,
    ordered.clicks,
    ordered.conversions,
    ordered.cost,
    ordered.sales,
    ordered.revenue,
    ordered.return_on_spend,
    ordered.place
FROM (
    SELECT
        campaign.id,
        campaign.name,
        campaign.status,
        part.impressions,
        part.clicks,
        part.conversions,
        part.cost,
        part.sales,
        part.revenue,
        round(part.revenue / nullif(part.cost, 0), 4) AS return_on_spend,
        coalesce(
            CASE :order_by::text
                WHEN 'revenue' THEN part.revenue
                WHEN 'cost' THEN part.cost
                ELSE round(part.revenue / nullif(part.cost, 0), 4)
            END,
            -1
        ) AS place -- without a cost there is no return: those are the last
    FROM campaign_month AS part
    INNER JOIN campaign ON part.campaign_id = campaign.id
    WHERE part.month = :month
) AS ordered
WHERE
    :after_id::int IS NULL
    OR ordered.place < :after_place::numeric
    OR (ordered.place = :after_place::numeric AND ordered.id > :after_id::int)
ORDER BY ordered.place DESC, ordered.id
LIMIT :most;
