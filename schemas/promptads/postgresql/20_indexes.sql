CREATE INDEX ix_campaign_status_starts_on ON campaign (status, starts_on);
CREATE INDEX ix_campaign_audience_id ON campaign (audience_id);
CREATE INDEX ix_campaign_content_id ON campaign (content_id);
CREATE INDEX ix_ad_campaign_id ON ad (campaign_id);
CREATE INDEX ix_ad_content_id ON ad (content_id);
CREATE INDEX ix_metric_day_day ON metric_day (day);
