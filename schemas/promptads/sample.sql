-- Three campaigns of PromptAds with known values, for scenarios and tests; the same text serves SQL Server and PostgreSQL.

INSERT INTO channel (id, code, name) VALUES
(1, 'search', 'Search'),
(2, 'social', 'Social networks'),
(3, 'email', 'E-mail');

INSERT INTO audience (id, name, country, age_from, age_to) VALUES
(1, 'Families', 'CR', 25, 55),
(2, 'Students', 'MX', 18, 25);

INSERT INTO campaign (id, code, name, objective, status, starts_on, ends_on, budget, audience_id, content_id) VALUES
(1, 'C-1', 'Spring', 'traffic', 'active', '2026-03-01', '2026-05-31', 1000.00, 1, 1),
(2, 'C-2', 'Summer', 'sales', 'active', '2026-06-01', '2026-08-31', 1000.00, 2, 2),
(3, 'C-3', 'Christmas', 'sales', 'active', '2026-11-15', '2027-01-06', 1000.00, 1, 3);

-- Amounts add up to the campaign's budget; spent is what metric_day says.
INSERT INTO budget (id, campaign_id, channel_id, amount, spent) VALUES
(1, 1, 1, 600.00, 30.25),
(2, 1, 2, 400.00, 12.50),
(3, 2, 1, 500.00, 20.00),
(4, 2, 2, 500.00, 0.00),
(5, 3, 2, 700.00, 0.00),
(6, 3, 3, 300.00, 0.00);

INSERT INTO ad (id, campaign_id, channel_id, content_id, headline, status) VALUES
(1, 1, 1, 1, '  Fresh colours for the garden ', 'active'),
(2, 1, 2, 1, 'Spring is here', 'active'),
(3, 2, 1, 2, 'Summer on the beach', 'active'),
(4, 2, 2, 2, 'Two weeks of SUN', 'paused'),
(5, 3, 2, 3, 'Gifts for everyone', 'active');

-- Christmas has a budget and an ad, but no metrics.
INSERT INTO metric_day (ad_id, day, impressions, clicks, conversions, cost) VALUES
(1, '2026-03-01', 1000, 50, 5, 20.00),
(1, '2026-03-02', 500, 20, 1, 10.25),
(2, '2026-03-01', 800, 40, 2, 12.50),
(3, '2026-06-01', 2000, 80, 8, 20.00);
