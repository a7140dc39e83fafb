"""Watching MCP servers that an agent starts over stdio: what they offer, and what was called."""
