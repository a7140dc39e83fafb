"""Real Claude Code with skills and an installed plug-in: all it loads is on record, and changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.command_line import agentprov
from support.model_endpoint import ModelEndpoint, Say, Shell, Write
from support.real_agents import AgentMissing, configure, install
from support.repository import Repository

pytestmark = pytest.mark.agents

SKILL = "---\nname: {0}\ndescription: Knows of {0} things\n---\nBe {0}.\n"
OURS = ".claude/skills/tidy/SKILL.md"


def run(words: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def lay_out_marketplace(place: Path) -> None:
    """Make a folder from which Claude installs a plug-in named ``extra``."""
    server = {"command": sys.executable, "args": ["-c", "pass"]}
    files = {
        ".claude-plugin/marketplace.json": json.dumps(
            {
                "name": "shelf",
                "owner": {"name": "Ada"},
                "plugins": [{"name": "extra", "source": "./extra", "description": "more"}],
            }
        ),
        "extra/.claude-plugin/plugin.json": json.dumps(
            {"name": "extra", "version": "1.2.0", "description": "more", "author": {"name": "Ada"}}
        ),
        "extra/skills/bright/SKILL.md": SKILL.format("bright"),
        "extra/commands/ship.md": "Ship it.\n",
        "extra/hooks/hooks.json": json.dumps({"hooks": {}}),
        "extra/.mcp.json": json.dumps({"mcpServers": {"none": server}}),
    }
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_skills_and_an_installed_plugin_are_digested_and_compared(tmp_path: Path) -> None:
    try:
        claude = str(install("claude-code"))
    except AgentMissing as missing:
        pytest.skip(str(missing))
    repository = Repository(tmp_path / "repo")
    repository.write(OURS, SKILL.format("tidy"))
    repository.commit("first")
    lay_out_marketplace(tmp_path / "shelf")
    script = [
        Write("src/app.py", "X = 1\n"),
        Shell(f"printf 'And loud.\\n' >> {OURS}"),
        Shell("git add src && git commit -qm 'Add the app'"),
        Say("All done."),
    ]
    with ModelEndpoint(script, root=repository.top) as endpoint:
        prefix, environment = configure("claude-code", tmp_path / "agent-home", endpoint.url)
        users = tmp_path / "agent-home/.claude/skills/kind/SKILL.md"
        users.parent.mkdir(parents=True)
        users.write_text(SKILL.format("kind"))
        add = [claude, "plugin", "marketplace", "add", str(tmp_path / "shelf")]
        run(add, repository.top, environment)
        run([claude, "plugin", "install", "extra@shelf"], repository.top, environment)
        kept = {k: v for k, v in os.environ.items() if k.startswith(("AGENTPROV_", "GIT_CONFIG"))}
        record = [sys.executable, "-m", "agentprov", "run", "--gateway", "on", "--"]
        run([*record, *prefix, "make it"], repository.top, {**environment, **kept})
    # What Claude told the model of is what it had loaded.
    asked = json.dumps([request.body for request in endpoint.model_requests])
    for name in ("tidy", "kind", "bright"):
        assert f"Knows of {name} things" in asked

    (session,) = agentprov("show", "HEAD", "--json", cwd=repository.top).json()["sessions"]
    materials = {item["path"]: item for item in session["instructions"]}
    skill = materials[OURS]
    before = hashlib.sha256(SKILL.format("tidy").encode()).hexdigest()
    assert (skill["role"], skill["digest"]) == ("skill", {"sha256": before})
    assert materials["~/.claude/skills/kind/SKILL.md"]["role"] == "skill"
    loaded = [name for name in materials if name.endswith("skills/bright/SKILL.md")]
    assert loaded
    bright = hashlib.sha256(SKILL.format("bright").encode()).hexdigest()
    assert all(materials[name]["digest"] == {"sha256": bright} for name in loaded)
    roles = {name.rpartition("extra/")[2]: item["role"] for name, item in materials.items()}
    assert {role for name, role in roles.items() if name.endswith("hooks/hooks.json")} == {"hooks"}
    assert "plugin:extra:none" in {server["name"] for server in session["mcpServers"]}

    journal = repository.top / ".git/agentprov/sessions" / session["id"] / "journal.jsonl"
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    gaps = [(e["data"]["why"], e["data"].get("detail")) for e in entries if e["kind"] == "gap"]
    assert ("material-changed", f"skill: {OURS}") in gaps
    assert [gap for gap in gaps if gap[0] == "material-changed"] == [
        ("material-changed", f"skill: {OURS}")
    ]
    assert agentprov("replay", session["id"], "--json", cwd=repository.top).status == 0
    verdict = agentprov("verify", "HEAD", "--json", cwd=repository.top).json()
    assert verdict["verdict"] == "pass"
