"""PromptSales's own parts at run time: ciphers, vectors, content, cache, coherence. Knows nothing of pytest or scenarios."""
