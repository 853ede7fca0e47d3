-- PromptCrm: clients, sales and interactions.

CREATE FUNCTION staging.merge_client(p_round bigint, p_whole boolean, p_run bigint) RETURNS staging.tally
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_rounds bigint[] := ARRAY[p_round, -p_round];
    v_tally staging.tally;
    v_gone bigint[];
BEGIN
    IF NOT p_whole THEN
        PERFORM staging.pull('client', 'promptcrm', p_round, true);
    END IF;
    v_tally := staging.judge('client', 'promptcrm', v_rounds, p_run);

    IF p_whole THEN
        v_gone := array(
            SELECT id FROM client WHERE NOT EXISTS (
                SELECT FROM staging.client AS s WHERE s.round = ANY (v_rounds) AND s.id = client.id AND s.deleted IS NOT TRUE
            )
        );
    ELSE
        v_gone := array(SELECT id FROM staging.client WHERE round = ANY (v_rounds) AND deleted);
    END IF;
    WITH gone AS (
        DELETE FROM client WHERE id = ANY (v_gone) RETURNING id
    ), noted AS (
        INSERT INTO staging.moved (kind, id, gone) SELECT 'client', id, true FROM gone
    )
    SELECT count(*) INTO v_tally.deleted FROM gone;

    WITH put AS (
        INSERT INTO client (id, name, country, credit, created_on)
        SELECT id, name, country, round(credit, 2), day FROM staging.client AS s
        WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE AND NOT EXISTS (
            SELECT FROM client AS kept
            WHERE kept.id = s.id
                AND (kept.name, kept.country, kept.credit, kept.created_on) = (s.name, s.country, round(s.credit, 2), s.day)
        )
        ON CONFLICT (id) DO UPDATE SET
            name = excluded.name,
            country = excluded.country,
            credit = excluded.credit,
            created_on = excluded.created_on
        RETURNING id, xmax = 0 AS fresh
    )
    SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) INTO v_tally.inserted, v_tally.updated FROM put;
    RETURN v_tally;
END
$$;

-- Note down what the staged sales come to as they are in fact.sale; p_sign -1 takes it away.
CREATE FUNCTION staging.add_sales(p_rounds bigint[], p_sign int) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    WITH found AS (
        SELECT
            sale.client_id,
            sale.campaign_id,
            date_trunc('month', sale.day::timestamp)::date AS month,
            p_sign * sale.total AS revenue
        FROM staging.sale AS s
        JOIN fact.sale ON sale.id = s.id
        WHERE s.round = ANY (p_rounds) AND sale.status <> 'cancelled'
    ), of_campaigns AS (
        INSERT INTO staging.campaign_part (campaign_id, month, sales, revenue)
        SELECT campaign_id, month, p_sign, revenue FROM found WHERE campaign_id IS NOT NULL
    )
    INSERT INTO staging.client_part (client_id, month, sales, revenue, interactions)
    SELECT client_id, month, p_sign, revenue, 0 FROM found
$$;

-- Sales. p_own: PromptCrm was read; otherwise something that they refer to has moved.
CREATE FUNCTION staging.merge_sales(p_round bigint, p_own boolean, p_whole boolean, p_run bigint) RETURNS staging.tally
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_rounds bigint[] := CASE WHEN p_own THEN ARRAY[p_round, -p_round] ELSE ARRAY[-p_round] END;
    v_tally staging.tally;
    v_gone bigint[];
    v_campaigns bigint[] := array(SELECT id FROM staging.moved WHERE kind = 'campaign' AND gone);
    v_clients bigint[] := array(SELECT id FROM staging.moved WHERE kind = 'client' AND gone);
BEGIN
    IF NOT p_whole THEN
        PERFORM staging.pull('sale', 'promptcrm', p_round, p_own);
        INSERT INTO staging.sale (round, id, client_id, campaign_id, day, status, total)
        SELECT -p_round, id, client_id, campaign_id, day, status, total FROM fact.sale
        WHERE (campaign_id = ANY (v_campaigns) OR client_id = ANY (v_clients))
            AND NOT EXISTS (SELECT FROM staging.sale AS s WHERE s.round = ANY (v_rounds) AND s.id = sale.id);
    END IF;
    v_tally := staging.judge('sale', 'promptcrm', v_rounds, p_run);
    IF p_whole THEN
        v_gone := array(
            SELECT id FROM fact.sale WHERE NOT EXISTS (
                SELECT FROM staging.sale AS s WHERE s.round = ANY (v_rounds) AND s.id = sale.id AND s.deleted IS NOT TRUE
            )
        );
    ELSE
        v_gone := array(SELECT id FROM staging.sale WHERE round = ANY (v_rounds) AND deleted);
        PERFORM staging.add_sales(v_rounds, -1);
    END IF;
    DELETE FROM fact.sale WHERE id = ANY (v_gone);
    GET DIAGNOSTICS v_tally.deleted = ROW_COUNT;
    WITH put AS (
        INSERT INTO fact.sale (id, client_id, campaign_id, day, status, total)
        SELECT id, client_id, campaign_id, day, status, round(total, 2) FROM staging.sale AS s
        WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE AND NOT EXISTS (
            SELECT FROM fact.sale AS kept
            WHERE kept.id = s.id
                AND (kept.client_id, kept.day, kept.status, kept.total) = (s.client_id, s.day, s.status, round(s.total, 2))
                AND kept.campaign_id IS NOT DISTINCT FROM s.campaign_id
        )
        ON CONFLICT (id) DO UPDATE SET
            client_id = excluded.client_id,
            campaign_id = excluded.campaign_id,
            day = excluded.day,
            status = excluded.status,
            total = excluded.total
        RETURNING xmax = 0 AS fresh
    )
    SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) INTO v_tally.inserted, v_tally.updated FROM put;
    IF NOT p_whole THEN
        PERFORM staging.add_sales(v_rounds, 1);
    END IF;
    RETURN v_tally;
END
$$;

CREATE FUNCTION staging.add_interactions(p_rounds bigint[], p_sign int) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    WITH found AS (
        SELECT
            interaction.client_id,
            interaction.content_id,
            date_trunc('month', interaction.happened_at)::date AS month
        FROM staging.interaction AS s
        JOIN fact.interaction ON interaction.id = s.id
        WHERE s.round = ANY (p_rounds)
    ), of_contents AS (
        INSERT INTO staging.content_part (content_id, month, interactions)
        SELECT content_id, month, p_sign FROM found WHERE content_id IS NOT NULL
    )
    INSERT INTO staging.client_part (client_id, month, sales, revenue, interactions)
    SELECT client_id, month, 0, 0, p_sign FROM found
$$;

-- Interactions, as sales are merged.
CREATE FUNCTION staging.merge_interactions(p_round bigint, p_own boolean, p_whole boolean, p_run bigint) RETURNS staging.tally
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_rounds bigint[] := CASE WHEN p_own THEN ARRAY[p_round, -p_round] ELSE ARRAY[-p_round] END;
    v_tally staging.tally;
    v_gone bigint[];
    v_campaigns bigint[] := array(SELECT id FROM staging.moved WHERE kind = 'campaign' AND gone);
    v_contents bigint[] := array(SELECT id FROM staging.moved WHERE kind = 'content' AND gone);
    v_clients bigint[] := array(SELECT id FROM staging.moved WHERE kind = 'client' AND gone);
BEGIN
    IF NOT p_whole THEN
        PERFORM staging.pull('interaction', 'promptcrm', p_round, p_own);
        INSERT INTO staging.interaction (round, id, client_id, campaign_id, content_id, happened_at)
        SELECT -p_round, id, client_id, campaign_id, content_id, happened_at FROM fact.interaction
        WHERE (campaign_id = ANY (v_campaigns) OR content_id = ANY (v_contents) OR client_id = ANY (v_clients))
            AND NOT EXISTS (SELECT FROM staging.interaction AS s WHERE s.round = ANY (v_rounds) AND s.id = interaction.id);
    END IF;
    v_tally := staging.judge('interaction', 'promptcrm', v_rounds, p_run);
    IF p_whole THEN
        v_gone := array(
            SELECT id FROM fact.interaction WHERE NOT EXISTS (
                SELECT FROM staging.interaction AS s
                WHERE s.round = ANY (v_rounds) AND s.id = interaction.id AND s.deleted IS NOT TRUE
            )
        );
    ELSE
        v_gone := array(SELECT id FROM staging.interaction WHERE round = ANY (v_rounds) AND deleted);
        PERFORM staging.add_interactions(v_rounds, -1);
    END IF;
    DELETE FROM fact.interaction WHERE id = ANY (v_gone);
    GET DIAGNOSTICS v_tally.deleted = ROW_COUNT;
    WITH put AS (
        INSERT INTO fact.interaction (id, client_id, campaign_id, content_id, happened_at)
        SELECT id, client_id, campaign_id, content_id, happened_at FROM staging.interaction AS s
        WHERE round = ANY (v_rounds) AND deleted IS NOT TRUE AND NOT EXISTS (
            SELECT FROM fact.interaction AS kept
            WHERE kept.id = s.id
                AND (kept.client_id, kept.happened_at) = (s.client_id, s.happened_at)
                AND kept.campaign_id IS NOT DISTINCT FROM s.campaign_id
                AND kept.content_id IS NOT DISTINCT FROM s.content_id
        )
        ON CONFLICT (id) DO UPDATE SET
            client_id = excluded.client_id,
            campaign_id = excluded.campaign_id,
            content_id = excluded.content_id,
            happened_at = excluded.happened_at
        RETURNING xmax = 0 AS fresh
    )
    SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) INTO v_tally.inserted, v_tally.updated FROM put;
    IF NOT p_whole THEN
        PERFORM staging.add_interactions(v_rounds, 1);
    END IF;
    RETURN v_tally;
END
$$;

REVOKE EXECUTE ON FUNCTION
    staging.merge_client(bigint, boolean, bigint), staging.add_sales(bigint[], int),
    staging.merge_sales(bigint, boolean, boolean, bigint), staging.add_interactions(bigint[], int),
    staging.merge_interactions(bigint, boolean, boolean, bigint)
FROM PUBLIC;
