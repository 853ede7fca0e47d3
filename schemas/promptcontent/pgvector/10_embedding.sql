-- The vectors of PromptContent where pgvector keeps them, by default in the database promptsales. May run twice.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE IF NOT EXISTS content_embedding (
    content_id int NOT NULL, -- of PromptContent
    model varchar(60) NOT NULL,
    embedding vector(384) NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT pk_content_embedding PRIMARY KEY (content_id, model),
    CONSTRAINT ck_content_embedding_metadata CHECK (jsonb_typeof(metadata) = 'object')
);
COMMENT ON TABLE content_embedding IS 'One embedding of each content and model; nearest by cosine';

CREATE INDEX IF NOT EXISTS ix_content_embedding_cosine ON content_embedding USING hnsw (embedding vector_cosine_ops);
CREATE INDEX IF NOT EXISTS ix_content_embedding_metadata ON content_embedding USING gin (metadata jsonb_path_ops);

-- Who may search and nothing else: a group without login, the same one for all databases of a server. Where this login may make
-- no roles, the table is there all the same.
DO $$
DECLARE
    v_statement text;
BEGIN
    PERFORM pg_advisory_xact_lock(10); -- one at a time in this database, as server/10_roles.sql of promptsales
    FOREACH v_statement IN ARRAY ARRAY[
        'CREATE ROLE promptcontent_mcp NOLOGIN',
        'GRANT USAGE ON SCHEMA public TO promptcontent_mcp',
        'GRANT SELECT ON content_embedding TO promptcontent_mcp',
        -- Where the schema's own roles are made anew, nobody may call a function by being there.
        'GRANT EXECUTE ON FUNCTION cosine_distance(vector, vector) TO promptcontent_mcp'
    ] LOOP
        BEGIN
            EXECUTE v_statement;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- somebody else has made it
            WHEN insufficient_privilege OR undefined_object THEN
                RAISE NOTICE 'not done: %: %', v_statement, SQLERRM;
        END;
    END LOOP;
END
$$;
