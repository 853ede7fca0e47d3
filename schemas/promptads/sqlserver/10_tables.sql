-- PromptAds on SQL Server. postgresql/10_tables.sql is the stand-in's port; a test holds the two equal.
-- Text that people write is nvarchar, codes are varchar.

CREATE TABLE dbo.channel (
    id smallint NOT NULL CONSTRAINT pk_channel PRIMARY KEY,
    code varchar(20) NOT NULL CONSTRAINT uq_channel_code UNIQUE,
    name nvarchar(60) NOT NULL
);
GO

CREATE TABLE dbo.audience (
    id int NOT NULL CONSTRAINT pk_audience PRIMARY KEY,
    name nvarchar(80) NOT NULL,
    country char(2) NOT NULL,
    age_from smallint NOT NULL,
    age_to smallint NOT NULL,
    CONSTRAINT ck_audience_age CHECK (age_from >= 13 AND age_to >= age_from AND age_to <= 120)
);
GO

CREATE TABLE dbo.campaign (
    id int NOT NULL CONSTRAINT pk_campaign PRIMARY KEY,
    code varchar(20) NOT NULL CONSTRAINT uq_campaign_code UNIQUE,
    name nvarchar(120) NOT NULL,
    objective varchar(20) NOT NULL,
    status varchar(10) NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    budget decimal(12, 2) NOT NULL, -- of all channels together; "budget" says how it is divided
    audience_id int NOT NULL CONSTRAINT fk_campaign_audience REFERENCES dbo.audience (id),
    content_id int NULL, -- of PromptContent
    -- counts the changes: who writes checks that it is the one that was read
    version int NOT NULL CONSTRAINT df_campaign_version DEFAULT 1,
    row_version rowversion NOT NULL, -- of the last change of the row: see 50_changes.sql
    CONSTRAINT ck_campaign_objective CHECK (objective IN ('awareness', 'traffic', 'leads', 'sales')),
    CONSTRAINT ck_campaign_status CHECK (status IN ('draft', 'active', 'paused', 'finished')),
    CONSTRAINT ck_campaign_dates CHECK (ends_on >= starts_on),
    CONSTRAINT ck_campaign_budget CHECK (budget >= 0)
);
GO

CREATE TABLE dbo.budget (
    id int NOT NULL CONSTRAINT pk_budget PRIMARY KEY,
    campaign_id int NOT NULL CONSTRAINT fk_budget_campaign REFERENCES dbo.campaign (id),
    channel_id smallint NOT NULL CONSTRAINT fk_budget_channel REFERENCES dbo.channel (id),
    amount decimal(12, 2) NOT NULL,
    spent decimal(12, 2) NOT NULL CONSTRAINT df_budget_spent DEFAULT 0,
    CONSTRAINT uq_budget_campaign_channel UNIQUE (campaign_id, channel_id),
    CONSTRAINT ck_budget_amount CHECK (amount >= 0 AND spent >= 0)
);
GO

CREATE TABLE dbo.ad (
    id int NOT NULL CONSTRAINT pk_ad PRIMARY KEY,
    campaign_id int NOT NULL CONSTRAINT fk_ad_campaign REFERENCES dbo.campaign (id),
    channel_id smallint NOT NULL CONSTRAINT fk_ad_channel REFERENCES dbo.channel (id),
    content_id int NULL, -- of PromptContent
    headline nvarchar(120) NOT NULL,
    status varchar(10) NOT NULL,
    row_version rowversion NOT NULL, -- of the last change of the row: see 50_changes.sql
    CONSTRAINT ck_ad_status CHECK (status IN ('active', 'paused'))
);
GO

CREATE TABLE dbo.metric_day (
    ad_id int NOT NULL CONSTRAINT fk_metric_day_ad REFERENCES dbo.ad (id),
    day date NOT NULL,
    impressions int NOT NULL,
    clicks int NOT NULL,
    conversions int NOT NULL,
    cost decimal(12, 2) NOT NULL,
    row_version rowversion NOT NULL, -- of the last change of the row: see 50_changes.sql
    CONSTRAINT pk_metric_day PRIMARY KEY (ad_id, day),
    CONSTRAINT ck_metric_day_funnel CHECK (conversions >= 0 AND clicks >= conversions AND impressions >= clicks),
    CONSTRAINT ck_metric_day_cost CHECK (cost >= 0)
);
GO

-- Which ranges of ids the seeder has written: in the same transaction as their rows.
CREATE TABLE dbo.seed_range (
    job varchar(40) NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    row_count bigint NOT NULL,
    CONSTRAINT pk_seed_range PRIMARY KEY (job, first_id)
);
GO

-- Keys of rows that are gone, and the database's identity: what the ETL needs besides the rows, see 50_changes.sql.
CREATE TABLE dbo.tombstone (
    number bigint IDENTITY (1, 1) NOT NULL CONSTRAINT pk_tombstone PRIMARY KEY,
    kind varchar(12) NOT NULL,
    id bigint NOT NULL,
    day date NULL,
    deleted_at datetime2(3) NOT NULL CONSTRAINT df_tombstone_deleted_at DEFAULT (sysutcdatetime()),
    row_version rowversion NOT NULL,
    CONSTRAINT ck_tombstone_kind CHECK (kind IN ('campaign', 'ad', 'metric_day'))
);
GO

CREATE TABLE dbo.etl_origin (
    -- there is one row
    one smallint NOT NULL CONSTRAINT df_etl_origin_one DEFAULT 1 CONSTRAINT pk_etl_origin PRIMARY KEY,
    origin uniqueidentifier NOT NULL CONSTRAINT df_etl_origin_origin DEFAULT (newid()),
    purged_to binary(8) NULL, -- tombstones up to this one may have been removed
    CONSTRAINT ck_etl_origin_one CHECK (one = 1)
);
GO
