-- A filtered index can be made, and its table written to, only under these options; sqlcmd's default is QUOTED_IDENTIFIER OFF.
-- https://learn.microsoft.com/sql/t-sql/statements/create-index-transact-sql#filtered-indexes
SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON;
SET NUMERIC_ROUNDABORT OFF;
GO

CREATE INDEX ix_city_country ON dbo.city (country);
CREATE UNIQUE INDEX ux_client_tax_id_hash ON dbo.client (tax_id_hash) WHERE tax_id_hash IS NOT NULL;
CREATE INDEX ix_client_email_hash ON dbo.client (email_hash);
CREATE INDEX ix_client_phone_hash ON dbo.client (phone_hash);
CREATE INDEX ix_client_city_id ON dbo.client (city_id);
CREATE INDEX ix_client_place ON dbo.client (latitude, longitude);
CREATE INDEX ix_client_campaign_id ON dbo.client (campaign_id);
CREATE INDEX ix_client_referred_by ON dbo.client (referred_by);
CREATE INDEX ix_contact_client_id ON dbo.contact (client_id);
CREATE INDEX ix_opportunity_client_id ON dbo.opportunity (client_id);
CREATE INDEX ix_opportunity_stage_opened_on ON dbo.opportunity (stage, opened_on);
CREATE INDEX ix_sale_client_id_sold_on ON dbo.sale (client_id, sold_on);
CREATE INDEX ix_sale_campaign_id_sold_on ON dbo.sale (campaign_id, sold_on);
CREATE INDEX ix_sale_status ON dbo.sale (status);
CREATE INDEX ix_sale_line_product_id ON dbo.sale_line (product_id);
CREATE INDEX ix_interaction_client_id_happened_at ON dbo.interaction (client_id, happened_at);
CREATE INDEX ix_interaction_content_id ON dbo.interaction (content_id);
CREATE INDEX ix_client_row_version ON dbo.client (row_version);
CREATE INDEX ix_sale_row_version ON dbo.sale (row_version);
CREATE INDEX ix_interaction_row_version ON dbo.interaction (row_version);
CREATE INDEX ix_tombstone_row_version ON dbo.tombstone (row_version);
GO
