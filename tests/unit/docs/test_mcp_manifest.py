"""The manifest for the MCP registry: its own rules, and that it names what is shipped."""

from __future__ import annotations

import json
import re

import agentprov
from agentprov.cli import COMMANDS
from support.documents import TOP

MANIFEST = TOP / "mcp_server" / "server.json"
MEMBERS = {"$schema", "name", "title", "description", "version", "repository", "packages"}


def test_the_manifest_keeps_the_registrys_rules() -> None:
    manifest = json.loads(MANIFEST.read_text())
    assert set(manifest) == MEMBERS
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", manifest["name"])
    assert 1 <= len(manifest["description"]) <= 100
    assert re.fullmatch(
        r"https://static\.modelcontextprotocol\.io/schemas/\d{4}-\d\d-\d\d/server\.schema\.json",
        manifest["$schema"],
    )
    assert set(manifest["repository"]) == {"url", "source", "subfolder"}
    (package,) = manifest["packages"]
    assert {"registryType", "identifier", "version", "transport"} <= package.keys()
    assert package["registryType"] == "pypi"
    assert package["transport"] == {"type": "stdio"}


def test_the_manifest_starts_what_this_version_ships() -> None:
    manifest = json.loads(MANIFEST.read_text())
    (package,) = manifest["packages"]
    assert manifest["version"] == package["version"] == agentprov.__version__
    assert package["identifier"] == "agentprov"
    (argument,) = package["packageArguments"]
    assert argument["type"] == "positional"
    assert argument["value"] in COMMANDS
