-- Registers a batch of sales with their lines: all of them, or none. What sqlserver/30_register_sales.sql does with table-valued
-- parameters is done here with arrays of rows.

-- Sales that came by id from elsewhere lie far below. A batch that fails leaves a gap, as sequences do.
CREATE SEQUENCE sale_id AS bigint START WITH 1000000000000 INCREMENT BY 1;

CREATE TYPE sale_row AS (
    row_no int, -- the caller's own number of the sale in this batch
    client_id int,
    campaign_id int, -- of PromptAds: taken as it is, that database is another one
    opportunity_id bigint,
    sold_on date
);

CREATE TYPE sale_line_row AS (
    row_no int,
    line_no smallint,
    product_id int,
    quantity int,
    -- NULL: the product's price
    unit_price decimal(12, 2) -- noqa: LT01
);

-- Result: row_no, sale_id, total, one row per sale, in the order of row_no. The sales are open; a total is the sum of its lines.
-- Errors, the first one found, with the row in the message; each undoes the whole batch (PS001 here is 50001 there):
--   PS001 the batch has no sale               PS005 a quantity that is not positive, or a negative price
--   PS002 a row or a line is there twice      PS006 no such client
--   PS003 a sale without lines                PS007 no such product
--   PS004 a line of no sale                   PS008 no such opportunity of that client
-- In a transaction of the caller's, PostgreSQL lets nothing follow an error but a rollback: a caller that wants to go on sets a savepoint
-- first. On SQL Server the procedure does that itself.
CREATE FUNCTION register_sales(sales sale_row[], lines sale_line_row[])
RETURNS TABLE (row_no int, sale_id bigint, total decimal)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found record;
BEGIN
    SELECT number, problem INTO found
    FROM (
        SELECT 'PS001' AS number, 0 AS row_no, 0 AS line_no, 'the batch has no sale' AS problem
        WHERE COALESCE(cardinality(sales), 0) = 0
        UNION ALL
        SELECT 'PS002', row_no, 0, format('sale %s is there %s times', row_no, COUNT(*))
        FROM unnest(sales) GROUP BY row_no HAVING COUNT(*) > 1
        UNION ALL
        SELECT 'PS002', row_no, line_no, format('line %s of sale %s is there %s times', line_no, row_no, COUNT(*))
        FROM unnest(lines) GROUP BY row_no, line_no HAVING COUNT(*) > 1
        UNION ALL
        SELECT 'PS003', s.row_no, 0, format('sale %s has no lines', s.row_no)
        FROM unnest(sales) AS s
        WHERE NOT EXISTS (SELECT 1 FROM unnest(lines) AS l WHERE l.row_no = s.row_no)
        UNION ALL
        SELECT 'PS004', l.row_no, l.line_no, format('line %s is of sale %s, which is not in the batch', l.line_no, l.row_no)
        FROM unnest(lines) AS l
        WHERE NOT EXISTS (SELECT 1 FROM unnest(sales) AS s WHERE s.row_no = l.row_no)
        UNION ALL
        SELECT
            'PS005', row_no, line_no,
            CASE
                WHEN quantity <= 0 THEN format('line %s of sale %s: quantity %s', line_no, row_no, quantity)
                ELSE format('line %s of sale %s: price %s', line_no, row_no, unit_price)
            END
        FROM unnest(lines)
        WHERE quantity <= 0 OR unit_price < 0
        UNION ALL
        SELECT 'PS006', s.row_no, 0, format('sale %s: there is no client %s', s.row_no, s.client_id)
        FROM unnest(sales) AS s
        WHERE NOT EXISTS (SELECT 1 FROM client AS c WHERE c.id = s.client_id)
        UNION ALL
        SELECT 'PS007', l.row_no, l.line_no, format('line %s of sale %s: there is no product %s', l.line_no, l.row_no, l.product_id)
        FROM unnest(lines) AS l
        WHERE NOT EXISTS (SELECT 1 FROM product AS p WHERE p.id = l.product_id)
        UNION ALL
        SELECT 'PS008', s.row_no, 0, format('sale %s: client %s has no opportunity %s', s.row_no, s.client_id, s.opportunity_id)
        FROM unnest(sales) AS s
        WHERE
            s.opportunity_id IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM opportunity AS o WHERE o.id = s.opportunity_id AND o.client_id = s.client_id)
    ) AS problems
    ORDER BY number, row_no, line_no
    LIMIT 1;
    IF found.number IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = found.number, MESSAGE = found.problem;
    END IF;

    RETURN QUERY
    WITH sold AS MATERIALIZED (
        SELECT nextval('sale_id') AS id, s.* FROM unnest(sales) AS s
    ),
    priced AS MATERIALIZED (
        SELECT s.id, l.line_no, l.product_id, l.quantity, COALESCE(l.unit_price, p.price) AS unit_price
        FROM unnest(lines) AS l
        JOIN sold AS s ON s.row_no = l.row_no
        JOIN product AS p ON p.id = l.product_id
    ),
    made AS (
        INSERT INTO sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total)
        SELECT s.id, s.client_id, s.campaign_id, s.opportunity_id, s.sold_on, 'open', t.total
        FROM sold AS s
        JOIN (SELECT id, SUM(quantity * unit_price) AS total FROM priced GROUP BY id) AS t ON t.id = s.id
        RETURNING id, total
    ),
    written AS (
        INSERT INTO sale_line (sale_id, line_no, product_id, quantity, unit_price)
        SELECT id, line_no, product_id, quantity, unit_price FROM priced
    )
    SELECT s.row_no, m.id, m.total
    FROM made AS m
    JOIN sold AS s ON s.id = m.id
    ORDER BY s.row_no;
END;
$$;
