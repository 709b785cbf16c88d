"""MCP: the tools by which agents search the documents and ask about them."""
