-- Three clients of PromptCrm with known values, for scenarios and tests; the same text serves SQL Server and PostgreSQL.
-- Nothing sensitive is in it: the encrypted columns stay NULL.

INSERT INTO city (id, name, country, latitude, longitude, population) VALUES
(1, 'San Jose', 'CR', 9.9281, -84.0907, 342188),
(2, 'Mexico City', 'MX', 19.4326, -99.1332, 9209944);

INSERT INTO product (id, code, name, price) VALUES
(1, 'BASIC', 'Basic', 10.00),
(2, 'PRO', 'Pro', 50.00),
(3, 'PREMIUM', 'Premium', 100.00);

INSERT INTO client
(id, code, name, kind, city_id, latitude, longitude, campaign_id, referred_by, credit, created_on) VALUES
(1, 'CL-1', 'Ana Mora', 'person', 1, 9.9281, -84.0907, 1, NULL, 500.00, '2026-03-05'),
(2, 'CL-2', 'Cafe Norte', 'company', 1, 9.9981, -84.1165, 1, 1, 500.00, '2026-04-01'),
(3, 'CL-3', 'Luis Vega', 'person', 2, 19.4326, -99.1332, 2, 2, 500.00, '2026-06-10');

INSERT INTO contact (id, client_id, name, role) VALUES
(1, 2, 'Marta Solis', 'Purchasing');

INSERT INTO opportunity (id, client_id, campaign_id, stage, amount, opened_on, closed_on) VALUES
(1, 1, 2, 'won', 200.00, '2026-06-05', '2026-06-15'),
(2, 2, 1, 'proposal', 150.00, '2026-05-20', NULL);

-- A total is the sum of the sale's lines.
INSERT INTO sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total) VALUES
(1, 1, 1, NULL, '2026-03-10', 'open', 100.00),
(2, 1, 1, NULL, '2026-04-02', 'open', 60.00),
(3, 1, 2, 1, '2026-06-15', 'closed', 200.00);

INSERT INTO sale_line (sale_id, line_no, product_id, quantity, unit_price) VALUES
(1, 1, 2, 2, 50.00),
(2, 1, 2, 1, 50.00),
(2, 2, 1, 1, 10.00),
(3, 1, 3, 2, 100.00);

INSERT INTO interaction (id, client_id, campaign_id, content_id, kind, happened_at, note) VALUES
(1, 1, 1, 1, 'click', '2026-03-05T14:00:00', 'Came by the spring ad'),
(2, 1, NULL, NULL, 'call', '2026-03-09T16:30:00', 'Asked for an offer'),
(3, 2, 1, 1, 'email', '2026-04-01T09:15:00', 'Wants a newsletter'),
(4, 3, 2, 2, 'click', '2026-06-10T20:45:00', 'Came by the summer ad');
