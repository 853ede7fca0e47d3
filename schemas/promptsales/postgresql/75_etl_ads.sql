-- PromptAds: campaigns, ads and the metrics of days.

CREATE FUNCTION staging.merge_campaign(p_round bigint, p_whole boolean, p_run bigint) RETURNS staging.tally
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_rounds bigint[] := ARRAY[p_round, -p_round];
    v_tally staging.tally;
    v_gone bigint[];
BEGIN
    IF NOT p_whole THEN
        PERFORM staging.pull('campaign', 'promptads', p_round, true);
    END IF;
    v_tally := staging.judge('campaign', 'promptads', v_rounds, p_run);

    IF p_whole THEN
        v_gone := array(
            SELECT id FROM campaign WHERE NOT EXISTS (
                SELECT FROM staging.campaign AS s WHERE s.round = ANY (v_rounds) AND s.id = campaign.id AND s.deleted IS NOT TRUE
            )
        );
    ELSE
        v_gone := array(SELECT id FROM staging.campaign WHERE round = ANY (v_rounds) AND deleted);
    END IF;
    WITH gone AS (
        DELETE FROM campaign WHERE id = ANY (v_gone) RETURNING id
    ), noted AS (
        INSERT INTO staging.moved (kind, id, gone) SELECT 'campaign', id, true FROM gone
    )
    SELECT count(*) INTO v_tally.deleted FROM gone;

    WITH put AS (
        INSERT INTO campaign (id, name, status, starts_on, ends_on, budget, content_id, version)
        SELECT id, name, status, starts_on, ends_on, round(budget, 2), content_id, coalesce(version, 1)
        FROM staging.campaign AS s
        WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE AND NOT EXISTS (
            SELECT FROM campaign AS kept
            WHERE kept.id = s.id
                AND (kept.name, kept.status, kept.starts_on, kept.ends_on, kept.budget, kept.version)
                = (s.name, s.status, s.starts_on, s.ends_on, round(s.budget, 2), coalesce(s.version, 1))
                AND kept.content_id IS NOT DISTINCT FROM s.content_id
        )
        ON CONFLICT (id) DO UPDATE SET
            name = excluded.name,
            status = excluded.status,
            starts_on = excluded.starts_on,
            ends_on = excluded.ends_on,
            budget = excluded.budget,
            content_id = excluded.content_id,
            version = excluded.version
        RETURNING id, xmax = 0 AS fresh
    ), noted AS (
        INSERT INTO staging.moved (kind, id, gone) SELECT 'campaign', id, false FROM put WHERE fresh
    )
    SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) INTO v_tally.inserted, v_tally.updated FROM put;
    RETURN v_tally;
END
$$;

-- Note down what the metrics in staging.metric_touched come to; p_sign -1 takes it away.
CREATE FUNCTION staging.add_metrics(p_sign int) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    WITH found AS (
        SELECT
            ad.campaign_id,
            ad.content_id,
            date_trunc('month', metric.day::timestamp)::date AS month,
            p_sign * metric.impressions AS impressions,
            p_sign * metric.clicks AS clicks,
            p_sign * metric.conversions AS conversions,
            p_sign * metric.cost AS cost
        FROM (SELECT DISTINCT ad_id, day FROM staging.metric_touched) AS touched
        JOIN fact.metric_day AS metric ON metric.ad_id = touched.ad_id AND metric.day = touched.day
        JOIN fact.ad ON ad.id = metric.ad_id
    ), of_contents AS (
        INSERT INTO staging.content_part (content_id, month, impressions, clicks)
        SELECT content_id, month, impressions, clicks FROM found WHERE content_id IS NOT NULL
    )
    INSERT INTO staging.campaign_part (campaign_id, month, impressions, clicks, conversions, cost)
    SELECT campaign_id, month, impressions, clicks, conversions, cost FROM found
$$;

-- Ads and their metrics. p_own: PromptAds was read; otherwise something that they refer to has moved.
CREATE FUNCTION staging.merge_ads(p_round bigint, p_own boolean, p_whole boolean, p_run bigint) RETURNS staging.tally
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_rounds bigint[] := CASE WHEN p_own THEN ARRAY[p_round, -p_round] ELSE ARRAY[-p_round] END;
    v_tally staging.tally;
    v_part staging.tally;
    v_gone bigint[];
    v_days date[];
    v_campaigns bigint[] := array(SELECT id FROM staging.moved WHERE kind = 'campaign' AND gone);
    v_contents bigint[] := array(SELECT id FROM staging.moved WHERE kind = 'content' AND gone);
BEGIN
    IF NOT p_whole THEN
        PERFORM staging.pull('ad', 'promptads', p_round, p_own);
        PERFORM staging.pull('metric_day', 'promptads', p_round, p_own);
    END IF;
    INSERT INTO staging.ad (round, id, campaign_id, content_id)
    SELECT -p_round, id, campaign_id, content_id FROM fact.ad
    WHERE (campaign_id = ANY (v_campaigns) OR content_id = ANY (v_contents))
        AND NOT EXISTS (SELECT FROM staging.ad AS s WHERE s.round = ANY (v_rounds) AND s.id = ad.id)
        AND NOT p_whole;
    v_tally := staging.judge('ad', 'promptads', v_rounds, p_run);

    IF NOT p_whole THEN
        INSERT INTO staging.metric_touched (ad_id, day)
        SELECT id, day FROM staging.metric_day WHERE round = ANY (v_rounds)
        UNION ALL
        SELECT metric.ad_id, metric.day
        FROM staging.ad AS s
        JOIN fact.ad ON ad.id = s.id
        JOIN fact.metric_day AS metric ON metric.ad_id = ad.id
        WHERE s.round = ANY (v_rounds)
            AND (s.deleted OR ad.campaign_id <> s.campaign_id OR ad.content_id IS DISTINCT FROM s.content_id);
        PERFORM staging.add_metrics(-1);
    END IF;

    IF p_whole THEN
        v_gone := array(
            SELECT id FROM fact.ad WHERE NOT EXISTS (
                SELECT FROM staging.ad AS s WHERE s.round = ANY (v_rounds) AND s.id = ad.id AND s.deleted IS NOT TRUE
            )
        );
    ELSE
        v_gone := array(SELECT id FROM staging.ad WHERE round = ANY (v_rounds) AND deleted);
    END IF;
    WITH gone AS (
        DELETE FROM fact.ad WHERE id = ANY (v_gone) RETURNING id
    ), noted AS (
        INSERT INTO staging.moved (kind, id, gone) SELECT 'ad', id, true FROM gone
    )
    SELECT count(*) INTO v_tally.deleted FROM gone;
    WITH put AS (
        INSERT INTO fact.ad (id, campaign_id, content_id)
        SELECT id, campaign_id, content_id FROM staging.ad AS s
        WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE AND NOT EXISTS (
            SELECT FROM fact.ad AS kept
            WHERE kept.id = s.id AND kept.campaign_id = s.campaign_id AND kept.content_id IS NOT DISTINCT FROM s.content_id
        )
        ON CONFLICT (id) DO UPDATE SET campaign_id = excluded.campaign_id, content_id = excluded.content_id
        RETURNING xmax = 0 AS fresh
    )
    SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) INTO v_tally.inserted, v_tally.updated FROM put;

    IF NOT p_whole THEN
        INSERT INTO staging.metric_day (round, id, day, impressions, clicks, conversions, cost)
        SELECT -p_round, ad_id, day, impressions, clicks, conversions, cost FROM fact.metric_day
        WHERE ad_id = ANY (array(SELECT id FROM staging.moved WHERE kind = 'ad' AND gone)) AND NOT EXISTS (
            SELECT FROM staging.metric_day AS s
            WHERE s.round = ANY (v_rounds) AND s.id = metric_day.ad_id AND s.day = metric_day.day
        );
    END IF;
    v_part := staging.judge('metric_day', 'promptads', v_rounds, p_run);
    IF p_whole THEN
        SELECT array_agg(ad_id), array_agg(day) INTO v_gone, v_days FROM fact.metric_day
        WHERE NOT EXISTS (
            SELECT FROM staging.metric_day AS s
            WHERE s.round = ANY (v_rounds) AND s.id = ad_id AND s.day = metric_day.day AND s.deleted IS NOT TRUE
        );
    ELSE
        SELECT array_agg(id), array_agg(day) INTO v_gone, v_days FROM staging.metric_day
        WHERE round = ANY (v_rounds) AND deleted;
    END IF;
    DELETE FROM fact.metric_day USING unnest(v_gone, v_days) AS gone (ad_id, day)
    WHERE metric_day.ad_id = gone.ad_id AND metric_day.day = gone.day;
    GET DIAGNOSTICS v_part.deleted = ROW_COUNT;
    WITH put AS (
        INSERT INTO fact.metric_day (ad_id, day, impressions, clicks, conversions, cost)
        SELECT id, day, impressions, clicks, conversions, round(cost, 2) FROM staging.metric_day AS s
        WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE AND NOT EXISTS (
            SELECT FROM fact.metric_day AS kept
            WHERE kept.ad_id = s.id AND kept.day = s.day
                AND (kept.impressions, kept.clicks, kept.conversions, kept.cost)
                = (s.impressions, s.clicks, s.conversions, round(s.cost, 2))
        )
        ON CONFLICT (ad_id, day) DO UPDATE SET
            impressions = excluded.impressions,
            clicks = excluded.clicks,
            conversions = excluded.conversions,
            cost = excluded.cost
        RETURNING xmax = 0 AS fresh
    )
    SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) INTO v_part.inserted, v_part.updated FROM put;
    IF NOT p_whole THEN
        PERFORM staging.add_metrics(1);
    END IF;
    RETURN staging.plus(v_tally, v_part);
END
$$;

REVOKE EXECUTE ON FUNCTION
    staging.merge_campaign(bigint, boolean, bigint), staging.add_metrics(int),
    staging.merge_ads(bigint, boolean, boolean, bigint)
FROM PUBLIC;
