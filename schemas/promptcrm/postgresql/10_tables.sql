-- PromptCrm on PostgreSQL, the stand-in: what sqlserver/10_tables.sql declares, which is the authority.

CREATE TABLE city (
    id int CONSTRAINT pk_city PRIMARY KEY,
    name varchar(80) NOT NULL,
    country char(2) NOT NULL,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    population int NOT NULL,
    row_version xid8 NOT NULL DEFAULT pg_current_xact_id() -- the transaction that last wrote the row: see 50_changes.sql
);

CREATE TABLE product (
    id int CONSTRAINT pk_product PRIMARY KEY,
    code varchar(20) NOT NULL CONSTRAINT uq_product_code UNIQUE,
    name varchar(80) NOT NULL,
    price decimal(12, 2) NOT NULL,
    CONSTRAINT ck_product_price CHECK (price >= 0)
);

-- The keys under which sensitive columns are encrypted. On SQL Server the key itself lies in the server, under the certificate;
-- on the stand-in it is here, wrapped by the public key of the X.509 certificate.
CREATE TABLE data_key (
    version int CONSTRAINT pk_data_key PRIMARY KEY,
    name varchar(60) NOT NULL CONSTRAINT uq_data_key_name UNIQUE,
    wrapped_key bytea NULL,
    certificate_thumbprint bytea NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    retired_at timestamp(3) NULL
);

CREATE TABLE client (
    id int CONSTRAINT pk_client PRIMARY KEY,
    code varchar(16) NOT NULL CONSTRAINT uq_client_code UNIQUE,
    name varchar(120) NOT NULL,
    kind varchar(10) NOT NULL,
    city_id int NOT NULL CONSTRAINT fk_client_city REFERENCES city (id),
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    tax_id_cipher bytea NULL, -- encrypted: see data_key; the hashes are keyed and serve the search for a value
    tax_id_hash bytea NULL,
    email_cipher bytea NULL,
    email_hash bytea NULL,
    phone_cipher bytea NULL,
    phone_hash bytea NULL,
    key_version int NULL CONSTRAINT fk_client_data_key REFERENCES data_key (version),
    campaign_id int NULL, -- of PromptAds: the one that won the client
    referred_by int NULL CONSTRAINT fk_client_referred_by REFERENCES client (id),
    credit decimal(12, 2) NOT NULL DEFAULT 0,
    created_on date NOT NULL,
    row_version xid8 NOT NULL DEFAULT pg_current_xact_id(), -- the transaction that last wrote the row: see 50_changes.sql
    CONSTRAINT ck_client_kind CHECK (kind IN ('person', 'company')),
    CONSTRAINT ck_client_place CHECK (latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180),
    CONSTRAINT ck_client_key CHECK (
        key_version IS NOT NULL OR (tax_id_cipher IS NULL AND email_cipher IS NULL AND phone_cipher IS NULL)
    )
);

CREATE TABLE contact (
    id bigint CONSTRAINT pk_contact PRIMARY KEY,
    client_id int NOT NULL CONSTRAINT fk_contact_client REFERENCES client (id),
    name varchar(120) NOT NULL,
    role varchar(40) NOT NULL
);

CREATE TABLE opportunity (
    id bigint CONSTRAINT pk_opportunity PRIMARY KEY,
    client_id int NOT NULL CONSTRAINT fk_opportunity_client REFERENCES client (id),
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

CREATE TABLE sale (
    id bigint CONSTRAINT pk_sale PRIMARY KEY,
    client_id int NOT NULL CONSTRAINT fk_sale_client REFERENCES client (id),
    campaign_id int NULL, -- of PromptAds: the one that it is put down to
    opportunity_id bigint NULL CONSTRAINT fk_sale_opportunity REFERENCES opportunity (id),
    sold_on date NOT NULL,
    status varchar(10) NOT NULL,
    total decimal(12, 2) NOT NULL, -- the sum of its lines
    row_version xid8 NOT NULL DEFAULT pg_current_xact_id(), -- the transaction that last wrote the row: see 50_changes.sql
    CONSTRAINT ck_sale_status CHECK (status IN ('open', 'closed', 'cancelled')),
    CONSTRAINT ck_sale_total CHECK (total >= 0)
);

CREATE TABLE sale_line (
    sale_id bigint NOT NULL CONSTRAINT fk_sale_line_sale REFERENCES sale (id),
    line_no smallint NOT NULL,
    product_id int NOT NULL CONSTRAINT fk_sale_line_product REFERENCES product (id),
    quantity int NOT NULL,
    unit_price decimal(12, 2) NOT NULL,
    CONSTRAINT pk_sale_line PRIMARY KEY (sale_id, line_no),
    CONSTRAINT ck_sale_line_quantity CHECK (quantity > 0),
    CONSTRAINT ck_sale_line_price CHECK (unit_price >= 0)
);

CREATE TABLE interaction (
    id bigint CONSTRAINT pk_interaction PRIMARY KEY,
    client_id int NOT NULL CONSTRAINT fk_interaction_client REFERENCES client (id),
    campaign_id int NULL, -- of PromptAds
    content_id int NULL, -- of PromptContent
    kind varchar(10) NOT NULL,
    happened_at timestamp(3) NOT NULL, -- UTC
    note varchar(200) NOT NULL,
    row_version xid8 NOT NULL DEFAULT pg_current_xact_id(), -- the transaction that last wrote the row: see 50_changes.sql
    CONSTRAINT ck_interaction_kind CHECK (kind IN ('email', 'call', 'visit', 'chat', 'click'))
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
    CONSTRAINT ck_tombstone_kind CHECK (kind IN ('client', 'sale', 'interaction'))
);

CREATE TABLE etl_origin (
    one smallint NOT NULL DEFAULT 1 CONSTRAINT pk_etl_origin PRIMARY KEY, -- there is one row
    origin uuid NOT NULL DEFAULT gen_random_uuid(),
    purged_to xid8 NULL, -- tombstones up to this one may have been removed
    CONSTRAINT ck_etl_origin_one CHECK (one = 1)
);
