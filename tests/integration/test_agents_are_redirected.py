"""Real agents, pointed at a base URL of this run by their adapters, go there and nowhere else.

Where they are configured to go nobody listens, and the repository's own settings name yet
another such place: only the redirection can make a session work.
"""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentprov.ports import LaunchContext
from agentprov.record.agents.registry import adapter_for
from support.model_endpoint import ModelEndpoint, Say, Turn, Write
from support.real_agents import AGENTS, AgentMissing, configure, install

pytestmark = pytest.mark.agents

NOBODY = "http://127.0.0.1:9/configured"
REPOSITORYS = "http://127.0.0.1:9/repository"
SECRET = "/s/0123456789abcdef"
SCRIPT: list[Turn] = [Write("made.py", "MADE = 'over the relay'\n"), Say("All done.")]
PATHS = {
    "claude-code": "/v1/messages?beta=true",
    "codex": "/responses",
    "gemini-cli": "/v1beta/models/",
    "opencode": "/chat/completions",
    "pi": "/chat/completions",
    "qwen-code": "/chat/completions",
}
SUFFIX = {"claude-code": "", "gemini-cli": ""}


def _settings_of_the_repository(name: str, repo: Path) -> None:
    """Let the repository say, by every means it has, that requests go elsewhere."""
    env = {"env": {"ANTHROPIC_BASE_URL": REPOSITORYS, "NO_PROXY": "example.com"}}
    variables = "".join(
        f"{variable}={REPOSITORYS}\n" for variable in ("GOOGLE_GEMINI_BASE_URL", "OPENAI_BASE_URL")
    )
    provider = {"scripted": {"options": {"baseURL": REPOSITORYS}}}
    files = {
        "claude-code": {".claude/settings.json": json.dumps(env)},
        "codex": {
            ".codex/config.toml": f'[model_providers.scripted]\nbase_url = "{REPOSITORYS}"\n'
        },
        "gemini-cli": {".env": variables, ".gemini/.env": variables},
        "qwen-code": {
            ".env": variables,
            ".qwen/.env": variables,
            ".qwen/settings.json": json.dumps(
                {
                    "env": {"OPENAI_BASE_URL": REPOSITORYS},
                    "security": {"auth": {"baseUrl": REPOSITORYS}},
                }
            ),
        },
        "opencode": {"opencode.json": json.dumps({"provider": provider})},
        "pi": {".pi/settings.json": json.dumps({"defaultProvider": "openai"})},
    }
    for path, text in files[name].items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(text)


def _run(name: str, tmp_path: Path, *, hostile: bool, words: tuple[str, ...] = ()) -> ModelEndpoint:
    try:
        install(name)
    except AgentMissing as missing:
        pytest.skip(str(missing))
    repo = tmp_path / "repo"
    repo.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=repo, check=True)
    if hostile:
        _settings_of_the_repository(name, repo)
    scratch = tmp_path / "scratch"
    scratch.mkdir(mode=0o700)
    prefix, environment = configure(name, tmp_path / "home", NOBODY, {"arguments": words})
    # A proxy that nobody serves: the relay on loopback must not be looked for behind it.
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    environment = {**environment, **proxies, "NO_PROXY": "example.org"}
    context = LaunchContext(
        argv=(*prefix, "make it"),
        cwd=repo,
        top=repo,
        home=tmp_path / "home",
        environment=environment,
        scratch=scratch,
        spool_script=tmp_path / "no-spool.sh",
        started=datetime.now(UTC).isoformat(),
    )
    adapter = adapter_for(prefix[0])
    assert adapter.name == name
    upstream = adapter.upstream(context)
    assert upstream.why_not is None
    assert upstream.base_url is not None
    assert upstream.base_url.startswith((NOBODY, REPOSITORYS))
    with ModelEndpoint(SCRIPT, root=repo) as endpoint:
        launch = adapter.redirect(context, adapter.prepare(context), endpoint.url + SECRET)
        done = subprocess.run(
            launch.argv,
            cwd=repo,
            env={**environment, **launch.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (repo / "made.py").read_text() == "MADE = 'over the relay'\n"
    asked = endpoint.model_requests
    assert len(asked) >= len(SCRIPT)
    assert all(request.path.startswith(SECRET + PATHS[name]) for request in asked)
    assert endpoint.url not in "".join(str(path) for path in repo.rglob("*"))
    return endpoint


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_a_redirected_agent_asks_the_relay_and_keeps_its_key(name: str, tmp_path: Path) -> None:
    endpoint = _run(name, tmp_path, hostile=False)
    sent = json.dumps([request.headers for request in endpoint.model_requests])
    assert "sk-scripted-0000" in sent


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_the_repository_cannot_undo_the_redirection(name: str, tmp_path: Path) -> None:
    _run(name, tmp_path, hostile=True)


def test_what_the_user_gave_claude_code_as_settings_still_holds(tmp_path: Path) -> None:
    own = json.dumps({"env": {"ANTHROPIC_CUSTOM_HEADERS": "X-Mine: kept"}})
    endpoint = _run("claude-code", tmp_path, hostile=True, words=("--settings", own))
    assert {request.headers.get("x-mine") for request in endpoint.model_requests} == {"kept"}


def test_what_the_user_gave_codex_as_a_base_url_gives_way(tmp_path: Path) -> None:
    own = f'model_providers.scripted.base_url="{NOBODY}/own"'
    _run("codex", tmp_path, hostile=False, words=("-c", own))


def test_codex_is_redirected_with_its_built_in_provider_too(tmp_path: Path) -> None:
    words = ("-c", 'model_provider="openai"', "-c", f'openai_base_url="{NOBODY}"')
    endpoint = _run("codex", tmp_path, hostile=False, words=words)
    tried = [request for request in endpoint.requests if request.method == "GET"]
    assert all(request.path.startswith(SECRET) for request in tried)


def test_a_resumed_codex_session_is_redirected_too(tmp_path: Path) -> None:
    _run("codex", tmp_path, hostile=False)
    repo = tmp_path / "repo"
    prefix, environment = configure("codex", tmp_path / "home", NOBODY)
    context = LaunchContext(
        argv=(*prefix, "resume", "--last", "go on"),
        cwd=repo,
        top=repo,
        home=tmp_path / "home",
        environment=environment,
        scratch=tmp_path / "scratch",
        spool_script=tmp_path / "no-spool.sh",
        started=datetime.now(UTC).isoformat(),
    )
    adapter = adapter_for(prefix[0])
    with ModelEndpoint([*SCRIPT, Write("more.py", "MORE = 1\n"), Say("Yes.")], repo) as endpoint:
        launch = adapter.redirect(context, adapter.prepare(context), endpoint.url + SECRET)
        subprocess.run(
            launch.argv,
            cwd=repo,
            env={**environment, **launch.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=180,
            check=True,
        )
    assert (repo / "more.py").read_text() == "MORE = 1\n"
