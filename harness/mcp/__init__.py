"""The MCP servers: what PromptSales's databases, and the harness, offer an assistant. Source: modelcontextprotocol.io."""
