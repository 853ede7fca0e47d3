-- A routine that walks with a cursor, and the views that people and assistants look at.

-- Finish the active campaigns whose last day is before p_as_of, one after the other, each locked when its turn comes: somebody who works
-- on a campaign far down the list is not held up by the first. p_closed is how many were finished.
CREATE PROCEDURE close_finished_campaigns(p_as_of date, INOUT p_closed int DEFAULT 0)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_over CURSOR FOR
        SELECT id FROM campaign WHERE status = 'active' AND ends_on < p_as_of ORDER BY id FOR UPDATE;
    v_id int;
BEGIN
    p_closed := 0;
    OPEN v_over;
    LOOP
        FETCH v_over INTO v_id;
        EXIT WHEN NOT FOUND;
        UPDATE campaign SET status = 'finished', version = version + 1 WHERE CURRENT OF v_over;
        p_closed := p_closed + 1;
    END LOOP;
    CLOSE v_over;
END
$$;
REVOKE EXECUTE ON PROCEDURE close_finished_campaigns(date, int) FROM PUBLIC;

CREATE VIEW campaign_performance AS
SELECT
    campaign.id,
    campaign.name,
    campaign.status,
    campaign.budget,
    coalesce(content.title, 'no content') AS content,
    coalesce(total.impressions, 0) AS impressions,
    coalesce(total.clicks, 0) AS clicks,
    coalesce(total.conversions, 0) AS conversions,
    coalesce(total.cost, 0) AS cost,
    coalesce(total.sales, 0) AS sales,
    coalesce(total.revenue, 0) AS revenue,
    round(total.cost / nullif(total.conversions, 0), 2) AS cost_per_conversion,
    round(total.revenue / nullif(total.cost, 0), 2) AS return_on_spend,
    CASE
        WHEN coalesce(total.cost, 0) = 0 THEN 'no spend'
        WHEN total.revenue >= 4 * total.cost THEN 'excellent'
        WHEN total.revenue >= 2 * total.cost THEN 'good'
        WHEN total.revenue >= total.cost THEN 'even'
        ELSE 'loss'
    END AS band
FROM campaign
LEFT JOIN content ON content.id = campaign.content_id
LEFT JOIN (
    SELECT
        campaign_id,
        sum(impressions)::bigint AS impressions,
        sum(clicks)::bigint AS clicks,
        sum(conversions)::bigint AS conversions,
        sum(cost) AS cost,
        sum(sales)::bigint AS sales,
        sum(revenue) AS revenue
    FROM campaign_month
    GROUP BY campaign_id
) AS total ON total.campaign_id = campaign.id;
COMMENT ON VIEW campaign_performance IS 'What each campaign has cost and brought, those without metrics too';

CREATE VIEW client_value AS
SELECT
    client.id,
    client.name,
    client.country,
    client.created_on,
    coalesce(total.sales, 0) AS sales,
    coalesce(total.revenue, 0) AS revenue,
    coalesce(total.interactions, 0) AS interactions,
    round(total.revenue / nullif(total.sales, 0), 2) AS average_sale,
    total.last_month AS last_sale_month,
    CASE
        WHEN coalesce(total.sales, 0) = 0 THEN 'prospect'
        WHEN total.sales = 1 THEN 'once'
        ELSE 'returning'
    END AS kind
FROM client
LEFT JOIN (
    SELECT
        client_id,
        sum(sales) AS sales,
        sum(revenue) AS revenue,
        sum(interactions) AS interactions,
        max(month) FILTER (WHERE sales > 0) AS last_month
    FROM client_month
    GROUP BY client_id
) AS total ON total.client_id = client.id;
COMMENT ON VIEW client_value IS 'What each client has bought, those who have not yet too';

CREATE VIEW content_reach AS
SELECT
    content.id,
    content.title,
    content.hashtags,
    coalesce(shown.campaigns, 0) AS campaigns,
    coalesce(shown.active_campaigns, 0) AS active_campaigns,
    coalesce(total.impressions, 0) AS impressions,
    coalesce(total.clicks, 0) AS clicks,
    coalesce(total.interactions, 0) AS interactions,
    round(100.0 * total.clicks / nullif(total.impressions, 0), 2) AS click_rate,
    coalesce(total.views, 0) AS views,
    coalesce(total.likes, 0) AS likes
FROM content
LEFT JOIN (
    SELECT content_id, count(*) AS campaigns, count(*) FILTER (WHERE status = 'active') AS active_campaigns
    FROM campaign
    GROUP BY content_id
) AS shown ON shown.content_id = content.id
LEFT JOIN (
    SELECT
        content_id,
        sum(impressions)::bigint AS impressions,
        sum(clicks)::bigint AS clicks,
        sum(interactions)::bigint AS interactions,
        sum(views)::bigint AS views,
        sum(likes)::bigint AS likes
    FROM content_month
    GROUP BY content_id
) AS total ON total.content_id = content.id;
COMMENT ON VIEW content_reach IS 'How far each content has come; click_rate in percent; views and likes in the application';

CREATE VIEW month_board AS
SELECT
    this.month,
    this.cost,
    this.sales,
    this.revenue,
    this.interactions,
    this.revenue - this.cost AS margin,
    round(this.revenue / nullif(this.cost, 0), 2) AS return_on_spend,
    round(100 * (this.revenue - last.revenue) / nullif(last.revenue, 0), 1) AS growth,
    CASE
        WHEN last.revenue IS NULL THEN 'first'
        WHEN this.revenue > last.revenue THEN 'up'
        WHEN this.revenue < last.revenue THEN 'down'
        ELSE 'same'
    END AS trend
FROM month_summary AS this
LEFT JOIN month_summary AS last ON last.month = (this.month - interval '1 month')::date;
COMMENT ON VIEW month_board IS 'Each month against the one before; growth in percent';
