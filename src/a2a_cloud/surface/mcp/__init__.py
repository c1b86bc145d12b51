"""MCP at an agent's `/mcp` and the platform's: skills as tools, over both revisions (docs/mcp.md)."""
