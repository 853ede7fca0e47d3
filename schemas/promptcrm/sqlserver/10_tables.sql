-- PromptCrm on SQL Server. postgresql/10_tables.sql is the stand-in's port; a test holds the two equal.
-- Text that people write is nvarchar, codes are varchar.

CREATE TABLE dbo.city (
    id int NOT NULL CONSTRAINT pk_city PRIMARY KEY,
    name nvarchar(80) NOT NULL,
    country char(2) NOT NULL,
    latitude float NOT NULL,
    longitude float NOT NULL,
    population int NOT NULL,
    row_version rowversion NOT NULL -- of the last change of the row: see 50_changes.sql
);
GO

CREATE TABLE dbo.product (
    id int NOT NULL CONSTRAINT pk_product PRIMARY KEY,
    code varchar(20) NOT NULL CONSTRAINT uq_product_code UNIQUE,
    name nvarchar(80) NOT NULL,
    price decimal(12, 2) NOT NULL,
    CONSTRAINT ck_product_price CHECK (price >= 0)
);
GO

-- The keys under which sensitive columns are encrypted. Here the key itself lies in the server, under the certificate (wrapped_key
-- is NULL); on the stand-in it is in this table, wrapped by the public key of the X.509 certificate.
CREATE TABLE dbo.data_key (
    version int NOT NULL CONSTRAINT pk_data_key PRIMARY KEY,
    name varchar(60) NOT NULL CONSTRAINT uq_data_key_name UNIQUE,
    wrapped_key varbinary(1024) NULL,
    certificate_thumbprint varbinary(64) NOT NULL,
    created_at datetime2(3) NOT NULL CONSTRAINT df_data_key_created_at DEFAULT (sysutcdatetime()),
    retired_at datetime2(3) NULL
);
GO

CREATE TABLE dbo.client (
    id int NOT NULL CONSTRAINT pk_client PRIMARY KEY,
    code varchar(16) NOT NULL CONSTRAINT uq_client_code UNIQUE,
    name nvarchar(120) NOT NULL,
    kind varchar(10) NOT NULL,
    city_id int NOT NULL CONSTRAINT fk_client_city REFERENCES dbo.city (id),
    latitude float NOT NULL,
    longitude float NOT NULL,
    tax_id_cipher varbinary(512) NULL, -- encrypted: see data_key; the hashes are keyed and serve the search for a value
    tax_id_hash varbinary(32) NULL,
    email_cipher varbinary(1024) NULL,
    email_hash varbinary(32) NULL,
    phone_cipher varbinary(512) NULL,
    phone_hash varbinary(32) NULL,
    key_version int NULL CONSTRAINT fk_client_data_key REFERENCES dbo.data_key (version),
    campaign_id int NULL, -- of PromptAds: the one that won the client
    referred_by int NULL CONSTRAINT fk_client_referred_by REFERENCES dbo.client (id),
    credit decimal(12, 2) NOT NULL CONSTRAINT df_client_credit DEFAULT 0,
    created_on date NOT NULL,
    row_version rowversion NOT NULL, -- of the last change of the row: see 50_changes.sql
    CONSTRAINT ck_client_kind CHECK (kind IN ('person', 'company')),
    CONSTRAINT ck_client_place CHECK (latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180),
    CONSTRAINT ck_client_key CHECK (
        key_version IS NOT NULL OR (tax_id_cipher IS NULL AND email_cipher IS NULL AND phone_cipher IS NULL)
    )
);
GO

CREATE TABLE dbo.contact (
    id bigint NOT NULL CONSTRAINT pk_contact PRIMARY KEY,
    client_id int NOT NULL CONSTRAINT fk_contact_client REFERENCES dbo.client (id),
    name nvarchar(120) NOT NULL,
    role nvarchar(40) NOT NULL
);
GO

CREATE TABLE dbo.opportunity (
    id bigint NOT NULL CONSTRAINT pk_opportunity PRIMARY KEY,
    client_id int NOT NULL CONSTRAINT fk_opportunity_client REFERENCES dbo.client (id),
    campaign_id int NULL, -- of PromptAds
    stage varchar(12) NOT NULL,
    amount decimal(12, 2) NOT NULL,
    opened_on date NOT NULL,
    closed_on date NULL,
    CONSTRAINT ck_opportunity_stage CHECK (stage IN ('new', 'qualified', 'proposal', 'won', 'lost')),
    CONSTRAINT ck_opportunity_amount CHECK (amount >= 0),
    CONSTRAINT ck_opportunity_dates CHECK (closed_on >= opened_on),
    CONSTRAINT ck_opportunity_closed CHECK (
        (stage IN ('won', 'lost') AND closed_on IS NOT NULL) OR (stage NOT IN ('won', 'lost') AND closed_on IS NULL)
    )
);
GO

CREATE TABLE dbo.sale (
    id bigint NOT NULL CONSTRAINT pk_sale PRIMARY KEY,
    client_id int NOT NULL CONSTRAINT fk_sale_client REFERENCES dbo.client (id),
    campaign_id int NULL, -- of PromptAds: the one that it is put down to
    opportunity_id bigint NULL CONSTRAINT fk_sale_opportunity REFERENCES dbo.opportunity (id),
    sold_on date NOT NULL,
    status varchar(10) NOT NULL,
    total decimal(12, 2) NOT NULL, -- the sum of its lines
    row_version rowversion NOT NULL, -- of the last change of the row: see 50_changes.sql
    CONSTRAINT ck_sale_status CHECK (status IN ('open', 'closed', 'cancelled')),
    CONSTRAINT ck_sale_total CHECK (total >= 0)
);
GO

CREATE TABLE dbo.sale_line (
    sale_id bigint NOT NULL CONSTRAINT fk_sale_line_sale REFERENCES dbo.sale (id),
    line_no smallint NOT NULL,
    product_id int NOT NULL CONSTRAINT fk_sale_line_product REFERENCES dbo.product (id),
    quantity int NOT NULL,
    unit_price decimal(12, 2) NOT NULL,
    CONSTRAINT pk_sale_line PRIMARY KEY (sale_id, line_no),
    CONSTRAINT ck_sale_line_quantity CHECK (quantity > 0),
    CONSTRAINT ck_sale_line_price CHECK (unit_price >= 0)
);
GO

CREATE TABLE dbo.interaction (
    id bigint NOT NULL CONSTRAINT pk_interaction PRIMARY KEY,
    client_id int NOT NULL CONSTRAINT fk_interaction_client REFERENCES dbo.client (id),
    campaign_id int NULL, -- of PromptAds
    content_id int NULL, -- of PromptContent
    kind varchar(10) NOT NULL,
    happened_at datetime2(3) NOT NULL, -- UTC
    note nvarchar(200) NOT NULL,
    row_version rowversion NOT NULL, -- of the last change of the row: see 50_changes.sql
    CONSTRAINT ck_interaction_kind CHECK (kind IN ('email', 'call', 'visit', 'chat', 'click'))
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
    CONSTRAINT ck_tombstone_kind CHECK (kind IN ('client', 'sale', 'interaction'))
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
