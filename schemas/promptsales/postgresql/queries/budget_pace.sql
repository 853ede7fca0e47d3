-- How much of its budget and of its time has each active campaign used by a day, and is it too fast? (JOIN, COALESCE, CASE)
SELECT
    campaign.id,
    campaign.name,
    campaign.budget,
    coalesce(total.cost, 0) AS cost,
    used.budget AS budget_used,
    used.days AS days_used,
    CASE
        WHEN used.budget IS NULL THEN 'no budget'
        WHEN total.cost > campaign.budget THEN 'overspent'
        WHEN used.budget > used.days + 10 THEN 'fast'
        WHEN used.budget < used.days - 10 THEN 'slow'
        ELSE 'on pace'
    END AS pace
FROM campaign
LEFT JOIN (
    SELECT
        campaign_id,
        sum(cost) AS cost
    FROM campaign_month
    WHERE month <= :day::date
    GROUP BY campaign_id
) AS total ON campaign.id = total.campaign_id
CROSS JOIN LATERAL (
    SELECT
        round(100 * coalesce(total.cost, 0) / nullif(campaign.budget, 0), 1) AS budget,
        round(
            100.0 * least(:day::date - campaign.starts_on + 1, campaign.ends_on - campaign.starts_on + 1)
            / (campaign.ends_on - campaign.starts_on + 1), 1
        ) AS days
) AS used
WHERE campaign.status = 'active' AND campaign.starts_on <= :day::date
ORDER BY campaign.id;
