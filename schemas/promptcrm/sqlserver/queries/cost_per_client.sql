-- What did PromptAds spend for each client that a campaign won? (linked server, OPENQUERY: dbo.link_ads)
-- noqa: disable=LT02
SELECT
    a.id AS campaign_id,
    a.name AS campaign,
    a.spent,
    COUNT(c.id) AS clients_won,
    CAST(ROUND(a.spent / NULLIF(COUNT(c.id), 0), 2) AS decimal(12, 2)) AS spent_per_client
FROM OPENQUERY( -- noqa: LT01
    ads,
    '
    SELECT p.id, p.name, CAST(SUM(b.spent) AS decimal(12, 2)) AS spent
    FROM dbo.campaign AS p
    INNER JOIN dbo.budget AS b ON p.id = b.campaign_id
    GROUP BY p.id, p.name
    '
) AS a
LEFT JOIN dbo.client AS c ON a.id = c.campaign_id
GROUP BY a.id, a.name, a.spent
ORDER BY a.id;
