CREATE INDEX ix_campaign_status_starts_on ON dbo.campaign (status, starts_on);
CREATE INDEX ix_campaign_audience_id ON dbo.campaign (audience_id);
CREATE INDEX ix_campaign_content_id ON dbo.campaign (content_id);
CREATE INDEX ix_ad_campaign_id ON dbo.ad (campaign_id);
CREATE INDEX ix_ad_content_id ON dbo.ad (content_id);
CREATE INDEX ix_metric_day_day ON dbo.metric_day (day);
CREATE INDEX ix_campaign_row_version ON dbo.campaign (row_version);
CREATE INDEX ix_ad_row_version ON dbo.ad (row_version);
CREATE INDEX ix_metric_day_row_version ON dbo.metric_day (row_version);
CREATE INDEX ix_tombstone_row_version ON dbo.tombstone (row_version);
GO
