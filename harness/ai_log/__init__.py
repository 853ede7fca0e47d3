"""The log of what artificial intelligence was used for: calls of the MCP servers, and what people write down by hand."""
