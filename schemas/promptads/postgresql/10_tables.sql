-- PromptAds on PostgreSQL, the stand-in: what sqlserver/10_tables.sql declares, which is the authority.

CREATE TABLE channel (
    id smallint CONSTRAINT pk_channel PRIMARY KEY,
    code varchar(20) NOT NULL CONSTRAINT uq_channel_code UNIQUE,
    name varchar(60) NOT NULL
);

CREATE TABLE audience (
    id int CONSTRAINT pk_audience PRIMARY KEY,
    name varchar(80) NOT NULL,
    country char(2) NOT NULL,
    age_from smallint NOT NULL,
    age_to smallint NOT NULL,
    CONSTRAINT ck_audience_age CHECK (age_from >= 13 AND age_to >= age_from AND age_to <= 120)
);

CREATE TABLE campaign (
    id int CONSTRAINT pk_campaign PRIMARY KEY,
    code varchar(20) NOT NULL CONSTRAINT uq_campaign_code UNIQUE,
    name varchar(120) NOT NULL,
    objective varchar(20) NOT NULL,
    status varchar(10) NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    budget decimal(12, 2) NOT NULL, -- of all channels together; "budget" says how it is divided
    audience_id int NOT NULL CONSTRAINT fk_campaign_audience REFERENCES audience (id),
    content_id int NULL, -- of PromptContent
    version int NOT NULL DEFAULT 1, -- counts the changes: who writes checks that it is the one that was read
    row_version xid8 NOT NULL DEFAULT pg_current_xact_id(), -- the transaction that last wrote the row: see 50_changes.sql
    CONSTRAINT ck_campaign_objective CHECK (objective IN ('awareness', 'traffic', 'leads', 'sales')),
    CONSTRAINT ck_campaign_status CHECK (status IN ('draft', 'active', 'paused', 'finished')),
    CONSTRAINT ck_campaign_dates CHECK (ends_on >= starts_on),
    CONSTRAINT ck_campaign_budget CHECK (budget >= 0)
);

CREATE TABLE budget (
    id int CONSTRAINT pk_budget PRIMARY KEY,
    campaign_id int NOT NULL CONSTRAINT fk_budget_campaign REFERENCES campaign (id),
    channel_id smallint NOT NULL CONSTRAINT fk_budget_channel REFERENCES channel (id),
    amount decimal(12, 2) NOT NULL,
    spent decimal(12, 2) NOT NULL DEFAULT 0,
    CONSTRAINT uq_budget_campaign_channel UNIQUE (campaign_id, channel_id),
    CONSTRAINT ck_budget_amount CHECK (amount >= 0 AND spent >= 0)
);

CREATE TABLE ad (
    id int CONSTRAINT pk_ad PRIMARY KEY,
    campaign_id int NOT NULL CONSTRAINT fk_ad_campaign REFERENCES campaign (id),
    channel_id smallint NOT NULL CONSTRAINT fk_ad_channel REFERENCES channel (id),
    content_id int NULL, -- of PromptContent
    headline varchar(120) NOT NULL,
    status varchar(10) NOT NULL,
    row_version xid8 NOT NULL DEFAULT pg_current_xact_id(), -- the transaction that last wrote the row: see 50_changes.sql
    CONSTRAINT ck_ad_status CHECK (status IN ('active', 'paused'))
);

CREATE TABLE metric_day (
    ad_id int NOT NULL CONSTRAINT fk_metric_day_ad REFERENCES ad (id),
    day date NOT NULL,
    impressions int NOT NULL,
    clicks int NOT NULL,
    conversions int NOT NULL,
    cost decimal(12, 2) NOT NULL,
    row_version xid8 NOT NULL DEFAULT pg_current_xact_id(), -- the transaction that last wrote the row: see 50_changes.sql
    CONSTRAINT pk_metric_day PRIMARY KEY (ad_id, day),
    CONSTRAINT ck_metric_day_funnel CHECK (conversions >= 0 AND clicks >= conversions AND impressions >= clicks),
    CONSTRAINT ck_metric_day_cost CHECK (cost >= 0)
);

-- Which ranges of ids the seeder has written: in the same transaction as their rows.
CREATE TABLE seed_range (
    job varchar(40) NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    row_count bigint NOT NULL,
    CONSTRAINT pk_seed_range PRIMARY KEY (job, first_id)
);

-- Keys of rows that are gone, and the database's identity: what the ETL needs besides the rows, see 50_changes.sql.
CREATE TABLE tombstone (
    number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_tombstone PRIMARY KEY,
    kind varchar(12) NOT NULL,
    id bigint NOT NULL,
    day date NULL,
    deleted_at timestamp(3) NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    row_version xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT ck_tombstone_kind CHECK (kind IN ('campaign', 'ad', 'metric_day'))
);

CREATE TABLE etl_origin (
    one smallint NOT NULL DEFAULT 1 CONSTRAINT pk_etl_origin PRIMARY KEY, -- there is one row
    origin uuid NOT NULL DEFAULT gen_random_uuid(),
    purged_to xid8 NULL, -- tombstones up to this one may have been removed
    CONSTRAINT ck_etl_origin_one CHECK (one = 1)
);
