"""Hooks of one run for the real Codex: they run untrusted by the user, and nobody else's do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import agentprov
from support.model_endpoint import ModelEndpoint, Say, Shell, Turn, Write
from support.real_agents import AgentMissing, configure
from support.repository import Repository

SCRIPT: list[Turn] = [
    Write("src/app.py", "one\ntwo\n"),
    Shell("git add -A && git commit -qm 'Add the app'"),
    Say("All done."),
]
# The second is a model for which Codex lets tools be called from scripts only.
MODELS = ("gpt-5.5", "gpt-6.1-sol")

pytestmark = pytest.mark.agents


@pytest.mark.parametrize("model", MODELS)
def test_our_hooks_run_and_what_the_user_never_trusted_does_not(model: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.write("README.md", "# A small project\n")
    mark = tmp_path / "ran"
    theirs = [{"hooks": [{"type": "command", "command": f"touch {mark}"}]}]
    hooks = json.dumps({"hooks": {"PostToolUse": theirs, "SessionStart": theirs}})
    repository.write(".codex/hooks.json", hooks)
    repository.commit("first")
    with ModelEndpoint(SCRIPT, root=repository.top) as endpoint:
        try:
            prefix, environment = configure(
                "codex", tmp_path / "agent-home", endpoint.url, {"model": model}
            )
        except AgentMissing as missing:
            pytest.skip(str(missing))
        home = tmp_path / "agent-home" / ".codex"
        (home / "hooks.json").write_text(hooks)
        settings = (home / "config.toml").read_bytes()
        kept = {k: v for k, v in os.environ.items() if k.startswith(("AGENTPROV_", "GIT_CONFIG"))}
        done = subprocess.run(
            [sys.executable, "-m", "agentprov", "run", "--gateway", "off", "--", *prefix, "go on"],
            cwd=repository.top,
            env={**environment, **kept},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    (shown,) = agentprov("show", "HEAD", "--json", cwd=repository.top).json()["sessions"]
    whys = {gap["why"] for gap in shown["gaps"]}
    assert not whys & {"hooks-silent", "hooks-off", "transcript-missing"}
    (app,) = [file for file in shown["files"] if file["path"] == "src/app.py"]
    assert {(one["origin"], one["basis"]) for one in app["ranges"]} == {("model", "reported")}
    assert not mark.exists()
    assert (home / "config.toml").read_bytes() == settings
