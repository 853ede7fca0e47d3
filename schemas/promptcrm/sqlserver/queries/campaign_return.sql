-- What came of each campaign: clients won and revenue, beside its budget? (linked server, four-part names: dbo.link_ads)
SELECT
    a.id AS campaign_id,
    a.name AS campaign,
    a.budget,
    COALESCE(c.clients, 0) AS clients_won,
    COALESCE(s.revenue, 0) AS revenue
FROM ads.campaign AS a
LEFT JOIN (
    SELECT
        campaign_id,
        COUNT(*) AS clients
    FROM dbo.client
    GROUP BY campaign_id
) AS c ON a.id = c.campaign_id
LEFT JOIN (
    SELECT
        campaign_id,
        SUM(total) AS revenue
    FROM dbo.sale
    WHERE status <> 'cancelled'
    GROUP BY campaign_id
) AS s ON a.id = s.campaign_id
ORDER BY a.id;
