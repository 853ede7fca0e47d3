CREATE INDEX ix_campaign_status ON campaign (status);
CREATE INDEX ix_campaign_month_month ON campaign_month (month);
CREATE INDEX ix_client_month_month ON client_month (month);
CREATE INDEX ix_content_month_month ON content_month (month);
