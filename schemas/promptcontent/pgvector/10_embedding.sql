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
