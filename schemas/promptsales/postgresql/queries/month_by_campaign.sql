-- Which campaigns made a month what it was, with their share of its cost and of all its revenue? (JOIN, COALESCE)
SELECT
    campaign.id,
    campaign.name,
    coalesce(content.title, 'no content') AS content,
    part.cost,
    part.revenue,
    round(100 * part.cost / nullif(whole.cost, 0), 1) AS cost_share,
    round(100 * part.revenue / nullif(whole.revenue, 0), 1) AS revenue_share
FROM month_summary AS whole
INNER JOIN campaign_month AS part ON whole.month = part.month
INNER JOIN campaign ON part.campaign_id = campaign.id
LEFT JOIN content ON campaign.content_id = content.id
WHERE whole.month = :month
ORDER BY part.revenue DESC, campaign.id;
