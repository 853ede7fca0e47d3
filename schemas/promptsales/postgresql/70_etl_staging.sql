-- What the ETL lays down (staging) and the single rows behind the sums (fact).
--
-- Staging has loose types and no constraints: a row that cannot be merged must be able to come, so that it can be told why. Its tables
-- are unlogged: after a crash the round is read again. Rows of a dead round have another number and are swept by etl_begin.
-- In a merge, rows under minus the round are those that it looks at again: from quarantine, or facts that lost what they refer to.

CREATE TYPE staging.tally AS (
    inserted bigint,
    updated bigint,
    deleted bigint,
    quarantined bigint, -- of the rows read
    displaced bigint, -- facts that lost what they refer to
    returned bigint -- rows that came back from quarantine
);

CREATE UNLOGGED TABLE staging.source_window (round bigint, source text, whole boolean, origin text, upper_bound text);

CREATE UNLOGGED TABLE staging.campaign (
    round bigint,
    deleted boolean,
    id bigint,
    name text,
    status text,
    starts_on date,
    ends_on date,
    budget numeric,
    content_id bigint,
    version int
);
CREATE UNLOGGED TABLE staging.ad (round bigint, deleted boolean, id bigint, campaign_id bigint, content_id bigint);
CREATE UNLOGGED TABLE staging.metric_day (
    round bigint,
    deleted boolean,
    id bigint, -- the ad's
    day date,
    impressions bigint,
    clicks bigint,
    conversions bigint,
    cost numeric
);

CREATE UNLOGGED TABLE staging.client (
    round bigint, deleted boolean, id bigint, name text, country text, credit numeric, day date
);
CREATE UNLOGGED TABLE staging.sale (
    round bigint, deleted boolean, id bigint, client_id bigint, campaign_id bigint, day date, status text, total numeric
);
CREATE UNLOGGED TABLE staging.interaction (
    round bigint, deleted boolean, id bigint, client_id bigint, campaign_id bigint, content_id bigint, happened_at timestamp
);

CREATE UNLOGGED TABLE staging.content (round bigint, kind text, document text);
COMMENT ON COLUMN staging.content.kind IS '"content": a whole document; "outbox": an entry of the outbox; as JSON';
CREATE UNLOGGED TABLE staging.content_read (round bigint, deleted boolean, key text, id bigint, document jsonb);
COMMENT ON TABLE staging.content_read IS 'staging.content, understood: the last state of each content';

CREATE UNLOGGED TABLE staging.activity (round bigint, id text, content text, kind text);
CREATE UNLOGGED TABLE staging.activity_read (
    round bigint, deleted boolean, id text, content text, kind text, month date, views bigint, likes bigint
);
COMMENT ON TABLE staging.activity_read IS 'staging.activity, understood: what each entry adds';

-- What a merge notes down for itself; empty between two merges.
CREATE UNLOGGED TABLE staging.moved (kind text, id bigint, gone boolean);
COMMENT ON TABLE staging.moved IS 'What others refer to and has come or gone';
CREATE UNLOGGED TABLE staging.metric_touched (ad_id bigint, day date);
CREATE UNLOGGED TABLE staging.campaign_part (
    campaign_id bigint,
    month date,
    impressions bigint,
    clicks bigint,
    conversions bigint,
    cost numeric,
    sales bigint,
    revenue numeric
);
CREATE UNLOGGED TABLE staging.client_part (client_id bigint, month date, sales bigint, revenue numeric, interactions bigint);
CREATE UNLOGGED TABLE staging.content_part (
    content_id bigint, month date, impressions bigint, clicks bigint, interactions bigint, views bigint, likes bigint
);

CREATE SCHEMA fact;
COMMENT ON SCHEMA fact IS 'The rows of the sources that the sums are made of: those that count, no others';

-- No references are declared: the merge has judged each row, and two million checks would cost more than all the rest of a first load.
CREATE TABLE fact.ad (
    id bigint CONSTRAINT pk_fact_ad PRIMARY KEY,
    campaign_id int NOT NULL,
    content_id int
);
CREATE INDEX ix_fact_ad_campaign_id ON fact.ad (campaign_id);
CREATE INDEX ix_fact_ad_content_id ON fact.ad (content_id);

CREATE TABLE fact.metric_day (
    ad_id bigint NOT NULL,
    day date NOT NULL,
    impressions bigint NOT NULL,
    clicks bigint NOT NULL,
    conversions bigint NOT NULL,
    cost numeric(14, 2) NOT NULL,
    CONSTRAINT pk_fact_metric_day PRIMARY KEY (ad_id, day)
);

CREATE TABLE fact.sale (
    id bigint CONSTRAINT pk_fact_sale PRIMARY KEY,
    client_id int NOT NULL,
    campaign_id int,
    day date NOT NULL,
    status varchar(10) NOT NULL,
    total numeric(14, 2) NOT NULL
);
CREATE INDEX ix_fact_sale_client_id ON fact.sale (client_id);
CREATE INDEX ix_fact_sale_campaign_id ON fact.sale (campaign_id) WHERE campaign_id IS NOT NULL;

CREATE TABLE fact.interaction (
    id bigint CONSTRAINT pk_fact_interaction PRIMARY KEY,
    client_id int NOT NULL,
    campaign_id int,
    content_id int,
    happened_at timestamp NOT NULL
);
CREATE INDEX ix_fact_interaction_client_id ON fact.interaction (client_id);
CREATE INDEX ix_fact_interaction_campaign_id ON fact.interaction (campaign_id) WHERE campaign_id IS NOT NULL;
CREATE INDEX ix_fact_interaction_content_id ON fact.interaction (content_id) WHERE content_id IS NOT NULL;
