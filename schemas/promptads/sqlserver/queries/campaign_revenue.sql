-- What did each campaign sell, beside what it spent? (linked server: dbo.link_crm)
SELECT
    c.id AS campaign_id,
    c.name AS campaign,
    COALESCE(b.spent, 0) AS spent,
    COALESCE(s.revenue, 0) AS revenue
FROM dbo.campaign AS c
LEFT JOIN (
    SELECT
        campaign_id,
        SUM(spent) AS spent
    FROM dbo.budget
    GROUP BY campaign_id
) AS b ON c.id = b.campaign_id
LEFT JOIN (
    SELECT
        campaign_id,
        SUM(total) AS revenue
    FROM crm.sale
    WHERE status <> 'cancelled'
    GROUP BY campaign_id
) AS s ON c.id = s.campaign_id
ORDER BY c.id;
