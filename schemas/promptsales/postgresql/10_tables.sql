-- PromptSales: the central store that the ETL feeds, on PostgreSQL.

CREATE TABLE plan (
    id smallint CONSTRAINT pk_plan PRIMARY KEY,
    name varchar(40) NOT NULL CONSTRAINT uq_plan_name UNIQUE,
    price numeric(12, 2) NOT NULL,
    CONSTRAINT ck_plan_price CHECK (price >= 0)
);
COMMENT ON TABLE plan IS 'What PromptSales itself sells, a month';

CREATE TABLE campaign (
    id int CONSTRAINT pk_campaign PRIMARY KEY,
    name varchar(120) NOT NULL,
    status varchar(10) NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    budget numeric(12, 2) NOT NULL,
    content_id int,
    version int NOT NULL DEFAULT 1, -- counts the changes: who writes checks that it is the one that was read
    CONSTRAINT ck_campaign_status CHECK (status IN ('draft', 'active', 'paused', 'finished')),
    CONSTRAINT ck_campaign_dates CHECK (ends_on >= starts_on),
    CONSTRAINT ck_campaign_budget CHECK (budget >= 0)
);
COMMENT ON TABLE campaign IS 'From PromptAds';

CREATE TABLE content (
    id int CONSTRAINT pk_content PRIMARY KEY,
    title varchar(120) NOT NULL,
    hashtags text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE content IS 'From PromptContent';

CREATE TABLE client (
    id int CONSTRAINT pk_client PRIMARY KEY,
    name varchar(120) NOT NULL,
    country char(2) NOT NULL,
    credit numeric(12, 2) NOT NULL DEFAULT 0,
    created_on date NOT NULL
);
COMMENT ON TABLE client IS 'From PromptCrm; nothing sensitive comes here';

CREATE TABLE campaign_month (
    campaign_id int NOT NULL CONSTRAINT fk_campaign_month_campaign REFERENCES campaign (id) DEFERRABLE,
    month date NOT NULL,
    impressions bigint NOT NULL DEFAULT 0,
    clicks bigint NOT NULL DEFAULT 0,
    conversions bigint NOT NULL DEFAULT 0,
    cost numeric(14, 2) NOT NULL DEFAULT 0,
    sales bigint NOT NULL DEFAULT 0,
    revenue numeric(14, 2) NOT NULL DEFAULT 0,
    CONSTRAINT pk_campaign_month PRIMARY KEY (campaign_id, month),
    CONSTRAINT ck_campaign_month_month CHECK (extract(day FROM month) = 1)
);
COMMENT ON TABLE campaign_month IS 'Metrics of PromptAds and sales of PromptCrm that are put down to the campaign, not the cancelled ones';

CREATE TABLE client_month (
    client_id int NOT NULL CONSTRAINT fk_client_month_client REFERENCES client (id) DEFERRABLE,
    month date NOT NULL,
    sales int NOT NULL DEFAULT 0,
    revenue numeric(14, 2) NOT NULL DEFAULT 0,
    interactions int NOT NULL DEFAULT 0,
    CONSTRAINT pk_client_month PRIMARY KEY (client_id, month),
    CONSTRAINT ck_client_month_month CHECK (extract(day FROM month) = 1)
);
COMMENT ON TABLE client_month IS 'Sales of PromptCrm, not the cancelled ones, and interactions';

CREATE TABLE content_month (
    content_id int NOT NULL CONSTRAINT fk_content_month_content REFERENCES content (id) DEFERRABLE,
    month date NOT NULL,
    impressions bigint NOT NULL DEFAULT 0,
    clicks bigint NOT NULL DEFAULT 0,
    interactions bigint NOT NULL DEFAULT 0,
    views bigint NOT NULL DEFAULT 0,
    likes bigint NOT NULL DEFAULT 0,
    CONSTRAINT pk_content_month PRIMARY KEY (content_id, month),
    CONSTRAINT ck_content_month_month CHECK (extract(day FROM month) = 1)
);
COMMENT ON TABLE content_month IS 'Metrics of the ads that show it (PromptAds), interactions (PromptCrm), views and likes (cache)';

CREATE TABLE month_summary (
    month date CONSTRAINT pk_month_summary PRIMARY KEY,
    cost numeric(16, 2) NOT NULL DEFAULT 0,
    sales bigint NOT NULL DEFAULT 0,
    revenue numeric(16, 2) NOT NULL DEFAULT 0,
    interactions bigint NOT NULL DEFAULT 0,
    CONSTRAINT ck_month_summary_month CHECK (extract(day FROM month) = 1)
);
COMMENT ON TABLE month_summary IS 'Kept by triggers: cost from campaign_month; sales, revenue and interactions from client_month';

CREATE TABLE seed_range (
    job varchar(40) NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    row_count bigint NOT NULL,
    CONSTRAINT pk_seed_range PRIMARY KEY (job, first_id)
);
COMMENT ON TABLE seed_range IS 'Which ranges of ids the seeder has written: in the same transaction as their rows';
