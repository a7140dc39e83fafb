"""A tiny MCP server over stdio, for agents to be configured with: keeps notes in memory."""

from __future__ import annotations

try:
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:  # mcp 1.x
    from mcp.server.fastmcp import FastMCP as Server

server = Server("labnotes")
NOTES: dict[str, str] = {}


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def save_note(name: str, text: str) -> str:
    """Keep a note under a name."""
    NOTES[name] = text
    return f"kept {name} ({len(text)} characters)"


if __name__ == "__main__":
    server.run()
