-- A few rows of known values, for scenarios. They cohere: the campaigns' dates enclose the month, the contents' figures are their
-- campaigns', and of the clients' seven sales (1000.00) one (100.00) is put down to no campaign.

INSERT INTO plan (id, name, price) VALUES
(6, 'Solo', 40.00),
(7, 'Team', 100.00),
(8, 'Company', 400.00);

INSERT INTO content (id, title, hashtags) VALUES
(1, 'A field of tulips', ARRAY['spring', 'flowers']),
(2, 'A tree with lights', ARRAY['christmas', 'lights']);

INSERT INTO campaign (id, name, status, starts_on, ends_on, budget, content_id) VALUES
(1, 'Spring', 'active', '2025-03-01', '2025-12-31', 1000.00, 1),
(2, 'Summer', 'active', '2025-06-01', '2026-01-31', 1000.00, 1),
(3, 'Christmas', 'active', '2025-11-15', '2026-01-06', 1000.00, 2);

INSERT INTO client (id, name, country, credit, created_on) VALUES
(1, 'Ana Mora', 'CR', 500.00, '2025-03-10'),
(2, 'Tecnologias del Norte', 'CR', 500.00, '2025-06-20'),
(3, 'Luis Rojas', 'PA', 500.00, '2025-12-02');

INSERT INTO campaign_month (campaign_id, month, impressions, clicks, conversions, cost, sales, revenue) VALUES
(1, '2025-12-01', 10000, 200, 10, 100.00, 2, 200.00),
(2, '2025-12-01', 20000, 300, 20, 200.00, 1, 100.00),
(3, '2025-12-01', 30000, 900, 60, 300.00, 3, 600.00);

INSERT INTO client_month (client_id, month, sales, revenue, interactions) VALUES
(1, '2025-12-01', 3, 300.00, 2),
(2, '2025-12-01', 2, 400.00, 1),
(3, '2025-12-01', 2, 300.00, 0);

INSERT INTO content_month (content_id, month, impressions, clicks, interactions) VALUES
(1, '2025-12-01', 30000, 500, 2),
(2, '2025-12-01', 30000, 900, 1);

-- The triggers have done this already where they are.
INSERT INTO month_summary (month, cost, sales, revenue, interactions) VALUES
('2025-12-01', 600.00, 7, 1000.00, 3)
ON CONFLICT (month) DO UPDATE SET
cost = excluded.cost, sales = excluded.sales, revenue = excluded.revenue, interactions = excluded.interactions;
