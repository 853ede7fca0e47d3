-- The sums by month, moved by differences: what a merge takes away and adds is noted down in staging.*_part, then added up at once.
-- A row of which nothing is left goes.

CREATE FUNCTION staging.add_parts() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM staging.analyze_staged('{staging.campaign_part,staging.client_part,staging.content_part}');
    INSERT INTO campaign_month AS kept
        (campaign_id, month, impressions, clicks, conversions, cost, sales, revenue)
    SELECT campaign_id, month, impressions, clicks, conversions, cost, sales, revenue
    FROM (
        SELECT
            campaign_id,
            month,
            coalesce(sum(impressions), 0) AS impressions,
            coalesce(sum(clicks), 0) AS clicks,
            coalesce(sum(conversions), 0) AS conversions,
            coalesce(sum(cost), 0) AS cost,
            coalesce(sum(sales), 0) AS sales,
            coalesce(sum(revenue), 0) AS revenue
        FROM staging.campaign_part
        GROUP BY campaign_id, month
    )
    WHERE (impressions, clicks, conversions, cost, sales, revenue) <> (0, 0, 0, 0, 0, 0)
    ORDER BY campaign_id, month
    ON CONFLICT (campaign_id, month) DO UPDATE SET
        impressions = kept.impressions + excluded.impressions,
        clicks = kept.clicks + excluded.clicks,
        conversions = kept.conversions + excluded.conversions,
        cost = kept.cost + excluded.cost,
        sales = kept.sales + excluded.sales,
        revenue = kept.revenue + excluded.revenue;

    INSERT INTO client_month AS kept (client_id, month, sales, revenue, interactions)
    SELECT client_id, month, sales, revenue, interactions
    FROM (
        SELECT client_id, month, sum(sales) AS sales, sum(revenue) AS revenue, sum(interactions) AS interactions
        FROM staging.client_part
        GROUP BY client_id, month
    )
    WHERE (sales, revenue, interactions) <> (0, 0, 0)
    ORDER BY client_id, month
    ON CONFLICT (client_id, month) DO UPDATE SET
        sales = kept.sales + excluded.sales,
        revenue = kept.revenue + excluded.revenue,
        interactions = kept.interactions + excluded.interactions;

    INSERT INTO content_month AS kept (content_id, month, impressions, clicks, interactions, views, likes)
    SELECT content_id, month, impressions, clicks, interactions, views, likes
    FROM (
        SELECT
            content_id,
            month,
            coalesce(sum(impressions), 0) AS impressions,
            coalesce(sum(clicks), 0) AS clicks,
            coalesce(sum(interactions), 0) AS interactions,
            coalesce(sum(views), 0) AS views,
            coalesce(sum(likes), 0) AS likes
        FROM staging.content_part
        GROUP BY content_id, month
    )
    WHERE (impressions, clicks, interactions, views, likes) <> (0, 0, 0, 0, 0)
    ORDER BY content_id, month
    ON CONFLICT (content_id, month) DO UPDATE SET
        impressions = kept.impressions + excluded.impressions,
        clicks = kept.clicks + excluded.clicks,
        interactions = kept.interactions + excluded.interactions,
        views = kept.views + excluded.views,
        likes = kept.likes + excluded.likes;

    DELETE FROM campaign_month USING (SELECT DISTINCT campaign_id, month FROM staging.campaign_part) AS part
    WHERE campaign_month.campaign_id = part.campaign_id AND campaign_month.month = part.month
        AND (impressions, clicks, conversions, cost, sales, revenue) = (0, 0, 0, 0, 0, 0);
    DELETE FROM client_month USING (SELECT DISTINCT client_id, month FROM staging.client_part) AS part
    WHERE client_month.client_id = part.client_id AND client_month.month = part.month
        AND (sales, revenue, interactions) = (0, 0, 0);
    DELETE FROM content_month USING (SELECT DISTINCT content_id, month FROM staging.content_part) AS part
    WHERE content_month.content_id = part.content_id AND content_month.month = part.month
        AND (impressions, clicks, interactions, views, likes) = (0, 0, 0, 0, 0);
END
$$;

-- After all of PromptAds has been read: what its columns are off by, against the facts. Rows of nothing are noted down too.
CREATE FUNCTION staging.compare_promptads() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO staging.campaign_part (campaign_id, month, impressions, clicks, conversions, cost)
    SELECT
        campaign_id,
        month,
        coalesce(summed.impressions, 0) - coalesce(kept.impressions, 0),
        coalesce(summed.clicks, 0) - coalesce(kept.clicks, 0),
        coalesce(summed.conversions, 0) - coalesce(kept.conversions, 0),
        coalesce(summed.cost, 0) - coalesce(kept.cost, 0)
    FROM (
        SELECT
            campaign_id,
            date_trunc('month', day::timestamp)::date AS month,
            sum(impressions) AS impressions,
            sum(clicks) AS clicks,
            sum(conversions) AS conversions,
            sum(cost) AS cost
        FROM fact.metric_day
        JOIN fact.ad ON ad.id = ad_id
        GROUP BY 1, 2
    ) AS summed
    FULL JOIN campaign_month AS kept USING (campaign_id, month)
    WHERE coalesce((summed.impressions, summed.clicks, summed.conversions, summed.cost)
        <> (kept.impressions, kept.clicks, kept.conversions, kept.cost), true);

    INSERT INTO staging.content_part (content_id, month, impressions, clicks)
    SELECT
        content_id,
        month,
        coalesce(summed.impressions, 0) - coalesce(kept.impressions, 0),
        coalesce(summed.clicks, 0) - coalesce(kept.clicks, 0)
    FROM (
        SELECT
            content_id,
            date_trunc('month', day::timestamp)::date AS month,
            sum(impressions) AS impressions,
            sum(clicks) AS clicks
        FROM fact.metric_day
        JOIN fact.ad ON ad.id = ad_id
        WHERE content_id IS NOT NULL
        GROUP BY 1, 2
    ) AS summed
    FULL JOIN content_month AS kept USING (content_id, month)
    WHERE coalesce((summed.impressions, summed.clicks) <> (kept.impressions, kept.clicks), true);
END
$$;

-- The same of PromptCrm.
CREATE FUNCTION staging.compare_promptcrm() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO staging.client_part (client_id, month, sales, revenue, interactions)
    SELECT
        client_id,
        month,
        coalesce(summed.sales, 0) - coalesce(kept.sales, 0),
        coalesce(summed.revenue, 0) - coalesce(kept.revenue, 0),
        coalesce(summed.interactions, 0) - coalesce(kept.interactions, 0)
    FROM (
        SELECT client_id, month, sum(sales) AS sales, sum(revenue) AS revenue, sum(interactions) AS interactions
        FROM (
            SELECT
                client_id,
                date_trunc('month', day::timestamp)::date AS month,
                1 AS sales,
                total AS revenue,
                0 AS interactions
            FROM fact.sale
            WHERE status <> 'cancelled'
            UNION ALL
            SELECT client_id, date_trunc('month', happened_at)::date, 0, 0, 1
            FROM fact.interaction
        )
        GROUP BY client_id, month
    ) AS summed
    FULL JOIN client_month AS kept USING (client_id, month)
    WHERE coalesce((summed.sales, summed.revenue, summed.interactions) <> (kept.sales, kept.revenue, kept.interactions), true);

    INSERT INTO staging.campaign_part (campaign_id, month, sales, revenue)
    SELECT
        campaign_id,
        month,
        coalesce(summed.sales, 0) - coalesce(kept.sales, 0),
        coalesce(summed.revenue, 0) - coalesce(kept.revenue, 0)
    FROM (
        SELECT
            campaign_id,
            date_trunc('month', day::timestamp)::date AS month,
            count(*) AS sales,
            sum(total) AS revenue
        FROM fact.sale
        WHERE status <> 'cancelled' AND campaign_id IS NOT NULL
        GROUP BY 1, 2
    ) AS summed
    FULL JOIN campaign_month AS kept USING (campaign_id, month)
    WHERE coalesce((summed.sales, summed.revenue) <> (kept.sales, kept.revenue), true);

    INSERT INTO staging.content_part (content_id, month, interactions)
    SELECT content_id, month, coalesce(summed.interactions, 0) - coalesce(kept.interactions, 0)
    FROM (
        SELECT content_id, date_trunc('month', happened_at)::date AS month, count(*) AS interactions
        FROM fact.interaction
        WHERE content_id IS NOT NULL
        GROUP BY 1, 2
    ) AS summed
    FULL JOIN content_month AS kept USING (content_id, month)
    WHERE coalesce(summed.interactions <> kept.interactions, true);
END
$$;

REVOKE EXECUTE ON FUNCTION staging.add_parts(), staging.compare_promptads(), staging.compare_promptcrm() FROM PUBLIC;
