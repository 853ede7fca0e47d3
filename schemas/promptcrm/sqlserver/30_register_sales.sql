-- Registers a batch of sales with their lines: all of them, or none.
--
-- The procedure keeps the SET options of the session that makes it; the client's filtered index needs these two ON.
SET ANSI_NULLS ON;
SET QUOTED_IDENTIFIER ON;
GO

-- Sales that came by id from elsewhere lie far below. A batch that fails leaves a gap, as sequences do.
CREATE SEQUENCE dbo.sale_id AS bigint START WITH 1000000000000 INCREMENT BY 1;
GO

-- No keys here: a row given twice shall be refused by the procedure, in its words, not by the type.
CREATE TYPE dbo.sale_row AS TABLE (
    row_no int NOT NULL, -- the caller's own number of the sale in this batch
    client_id int NOT NULL,
    campaign_id int NULL, -- of PromptAds: taken as it is, that database is another one
    opportunity_id bigint NULL,
    sold_on date NOT NULL
);
GO

CREATE TYPE dbo.sale_line_row AS TABLE (
    row_no int NOT NULL,
    line_no smallint NOT NULL,
    product_id int NOT NULL,
    quantity int NOT NULL,
    unit_price decimal(12, 2) NULL -- NULL: the product's price
);
GO

-- Result: row_no, sale_id, total, one row per sale, in the order of row_no. The sales are open; a total is the sum of its lines.
-- Errors, the first one found, with the row in the message; each undoes the whole batch:
--   50001 the batch has no sale               50005 a quantity that is not positive, or a negative price
--   50002 a row or a line is there twice      50006 no such client
--   50003 a sale without lines                50007 no such product
--   50004 a line of no sale                   50008 no such opportunity of that client
-- In a transaction of the caller's only the batch is undone (a savepoint) and the transaction goes on, unless the error has doomed
-- it (XACT_STATE() = -1: a deadlock, say), when only the caller can roll back. Otherwise the batch is a transaction of its own.
CREATE PROCEDURE dbo.register_sales
    @sales dbo.sale_row READONLY,
    @lines dbo.sale_line_row READONLY
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @own bit = CASE WHEN @@TRANCOUNT = 0 THEN 1 ELSE 0 END;
    -- ON, every error dooms the transaction: right for one of our own (also when the client gives up, which no CATCH sees), but
    -- it would leave no way back to the savepoint.
    IF @own = 1
        SET XACT_ABORT ON;
    ELSE
        SET XACT_ABORT OFF;

    DECLARE @sale TABLE (
        row_no int NOT NULL,
        id bigint NOT NULL,
        client_id int NOT NULL,
        campaign_id int NULL,
        opportunity_id bigint NULL,
        sold_on date NOT NULL
    );
    DECLARE @line TABLE (
        row_no int NOT NULL, line_no smallint NOT NULL, product_id int NOT NULL, quantity int NOT NULL, unit_price decimal(12, 2) NULL
    );
    DECLARE @made TABLE (id bigint NOT NULL, total decimal(12, 2) NOT NULL);
    DECLARE @number int;
    DECLARE @problem nvarchar(400);

    BEGIN TRY
        IF @own = 1
            BEGIN TRANSACTION;
        ELSE
            SAVE TRANSACTION register_sales;

        INSERT INTO @line (row_no, line_no, product_id, quantity, unit_price)
        SELECT l.row_no, l.line_no, l.product_id, l.quantity, COALESCE(l.unit_price, p.price)
        FROM @lines AS l
        LEFT JOIN dbo.product AS p ON p.id = l.product_id;

        INSERT INTO @sale (row_no, id, client_id, campaign_id, opportunity_id, sold_on)
        SELECT row_no, NEXT VALUE FOR dbo.sale_id, client_id, campaign_id, opportunity_id, sold_on
        FROM @sales;

        SELECT TOP (1) @number = found.number, @problem = found.problem
        FROM (
            SELECT 50001 AS number, 0 AS row_no, 0 AS line_no, 'the batch has no sale' AS problem
            WHERE NOT EXISTS (SELECT 1 FROM @sale)
            UNION ALL
            SELECT 50002, row_no, 0, CONCAT('sale ', row_no, ' is there ', COUNT(*), ' times')
            FROM @sale
            GROUP BY row_no
            HAVING COUNT(*) > 1
            UNION ALL
            SELECT 50002, row_no, line_no, CONCAT('line ', line_no, ' of sale ', row_no, ' is there ', COUNT(*), ' times')
            FROM @line
            GROUP BY row_no, line_no
            HAVING COUNT(*) > 1
            UNION ALL
            SELECT 50003, s.row_no, 0, CONCAT('sale ', s.row_no, ' has no lines')
            FROM @sale AS s
            WHERE NOT EXISTS (SELECT 1 FROM @line AS l WHERE l.row_no = s.row_no)
            UNION ALL
            SELECT 50004, l.row_no, l.line_no, CONCAT('line ', l.line_no, ' is of sale ', l.row_no, ', which is not in the batch')
            FROM @line AS l
            WHERE NOT EXISTS (SELECT 1 FROM @sale AS s WHERE s.row_no = l.row_no)
            UNION ALL
            SELECT
                50005, row_no, line_no,
                CASE
                    WHEN quantity <= 0 THEN CONCAT('line ', line_no, ' of sale ', row_no, ': quantity ', quantity)
                    ELSE CONCAT('line ', line_no, ' of sale ', row_no, ': price ', unit_price)
                END
            FROM @line
            WHERE quantity <= 0 OR unit_price < 0
            UNION ALL
            SELECT 50006, s.row_no, 0, CONCAT('sale ', s.row_no, ': there is no client ', s.client_id)
            FROM @sale AS s
            WHERE NOT EXISTS (SELECT 1 FROM dbo.client AS c WHERE c.id = s.client_id)
            UNION ALL
            SELECT
                50007, l.row_no, l.line_no,
                CONCAT('line ', l.line_no, ' of sale ', l.row_no, ': there is no product ', l.product_id)
            FROM @line AS l
            WHERE NOT EXISTS (SELECT 1 FROM dbo.product AS p WHERE p.id = l.product_id)
            UNION ALL
            SELECT
                50008, s.row_no, 0,
                CONCAT('sale ', s.row_no, ': client ', s.client_id, ' has no opportunity ', s.opportunity_id)
            FROM @sale AS s
            WHERE
                s.opportunity_id IS NOT NULL
                AND NOT EXISTS (
                    SELECT 1 FROM dbo.opportunity AS o WHERE o.id = s.opportunity_id AND o.client_id = s.client_id
                )
        ) AS found
        ORDER BY found.number, found.row_no, found.line_no;
        IF @number IS NOT NULL
            THROW @number, @problem, 1;

        INSERT INTO dbo.sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total)
        OUTPUT INSERTED.id, INSERTED.total INTO @made (id, total)
        SELECT s.id, s.client_id, s.campaign_id, s.opportunity_id, s.sold_on, 'open', t.total
        FROM @sale AS s
        INNER JOIN (
            SELECT row_no, SUM(quantity * unit_price) AS total FROM @line GROUP BY row_no
        ) AS t ON t.row_no = s.row_no;

        INSERT INTO dbo.sale_line (sale_id, line_no, product_id, quantity, unit_price)
        SELECT s.id, l.line_no, l.product_id, l.quantity, l.unit_price
        FROM @line AS l
        INNER JOIN @sale AS s ON s.row_no = l.row_no;

        IF @own = 1
            COMMIT TRANSACTION;
    END TRY
    BEGIN CATCH
        IF @own = 1 AND XACT_STATE() <> 0
            ROLLBACK TRANSACTION;
        IF @own = 0 AND XACT_STATE() = 1
            ROLLBACK TRANSACTION register_sales;
        THROW;
    END CATCH;

    SELECT s.row_no, m.id AS sale_id, m.total
    FROM @made AS m
    INNER JOIN @sale AS s ON s.id = m.id
    ORDER BY s.row_no;
END;
GO
