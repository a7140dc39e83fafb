"""Real coding agents for tests: installed once from npm at pinned versions, run hermetically.

They live outside the tracked tree, in ``$AGENTPROV_TEST_AGENTS`` or ``.cache/agents``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
COMPLETE = "installed"
API_KEY = "sk-scripted-0000"
KEY_NAMES = {
    "claude-code": "ANTHROPIC_API_KEY",
    "codex": "CODEX_API_KEY",
    "gemini-cli": "GEMINI_API_KEY",
    "opencode": "SCRIPTED_API_KEY",
    "pi": "SCRIPTED_API_KEY",
    "qwen-code": "OPENAI_API_KEY",
}


@dataclass(frozen=True)
class Package:
    """An npm package, pinned, the program that it installs, and the node that it needs."""

    name: str
    version: str
    program: str
    node: tuple[int, int] = (20, 0)


AGENTS = {
    "claude-code": Package("@anthropic-ai/claude-code", "2.1.330", "claude"),
    "codex": Package("@openai/codex", "0.169.0", "codex"),
    "gemini-cli": Package("@google/gemini-cli", "0.61.0", "gemini"),
    "opencode": Package("opencode-ai", "1.18.33", "opencode"),
    "pi": Package("@earendil-works/pi-coding-agent", "0.87.1", "pi", (22, 19)),
    "qwen-code": Package("@qwen-code/qwen-code", "0.24.4", "qwen", (22, 0)),
}
NODE = Package("node", "22.23.3", "node")
# The two whose whole chain, from plan to verdict, is played through.
PACKAGES = {name: AGENTS[name] for name in ("claude-code", "codex")}


class AgentMissing(Exception):
    """The agent cannot be had here; the message is the reason to skip with."""


def install(name: str) -> Path:
    """Install an agent if it is not there yet and give its executable.

    Safe to call from several processes at once. Raises AgentMissing where there is no node or
    npm, or npm fails; on CI (``CI=true``) that is a RuntimeError, so that a test cannot skip.
    """
    return _installed_program(name, AGENTS[name])


def node_folder(name: str) -> Path | None:
    """Give the folder of a newer node for an agent that this machine's is too old for."""
    wanted = AGENTS[name].node
    return None if wanted <= (20, 0) else newer_node(wanted)


def newer_node(wanted: tuple[int, int]) -> Path | None:
    """Give the folder of a node of at least this version; None where the machine's own will do."""
    return None if wanted <= _node_version() else _installed_program("node", NODE).parent


def _node_version() -> tuple[int, int]:
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    major, _, rest = done.stdout.strip().removeprefix("v").partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _installed_program(name: str, package: Package) -> Path:
    root = Path(os.environ.get("AGENTPROV_TEST_AGENTS") or TOP / ".cache" / "agents")
    prefix = root / f"{name}-{package.version}"
    program = prefix / "node_modules" / ".bin" / package.program
    if _installed(prefix, package, program):
        return program
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise _missing(f"{name} needs {tool}, which is not installed")
    prefix.mkdir(parents=True, exist_ok=True)
    with _lock(root / f"{name}-{package.version}.lock"):
        if _installed(prefix, package, program):
            return program
        done = subprocess.run(
            [
                "npm",
                "install",
                "--no-save",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(prefix),
                f"{package.name}@{package.version}",
            ],
            cwd=prefix,
            # The autouse fixtures give tests an empty home; npm needs its own configuration.
            env={**os.environ, "HOME": real_home()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0 or not program.exists():
            raise _missing(f"npm could not install {package.name}: {done.stderr.strip()[-400:]}")
        (prefix / COMPLETE).touch()
    return program


def configure(
    name: str, home: Path, endpoint_url: str, extra: Mapping[str, object] | None = None
) -> tuple[list[str], dict[str, str]]:
    """Give (argv prefix, whole environment) that run an agent headless against an endpoint.

    The prompt goes behind the prefix. The agent sees only `home`, talks only to `endpoint_url`,
    asks nobody for permission, and neither updates itself nor reports home. Keys of `extra`:
    ``model`` (requested id), ``mcp`` (name -> command as a list of words; written where the
    agent's user configuration lives), ``arguments`` (more words in front of the prompt).
    """
    extra = dict(extra or {})
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_PROXY": "127.0.0.1,localhost",
        "GIT_AUTHOR_NAME": "Scripted Agent",
        "GIT_AUTHOR_EMAIL": "agent@example.invalid",
        "GIT_COMMITTER_NAME": "Scripted Agent",
        "GIT_COMMITTER_EMAIL": "agent@example.invalid",
        "GIT_CONFIG_NOSYSTEM": "1",
        KEY_NAMES[name]: API_KEY,
    }
    servers = extra.get("mcp") or {}
    arguments = [str(word) for word in extra.get("arguments") or ()]  # type: ignore[attr-defined]
    if not isinstance(servers, Mapping):
        raise TypeError("mcp maps names to commands")
    program = str(install(name))
    newer = node_folder(name)
    if newer is not None:
        environment["PATH"] = f"{newer}{os.pathsep}{environment['PATH']}"
    words, variables = _CONFIGURE[name](home, endpoint_url, extra.get("model"), servers)
    # Some take the prompt as the value of their last option.
    last = [words.pop()] if words and words[-1] == "-p" and name in _PROMPT_BEHIND else []
    return [program, *words, *arguments, *last], {**environment, **variables}


Configured = tuple[list[str], dict[str, str]]
Servers = Mapping[str, list[str]]


def _claude(home: Path, endpoint_url: str, model: object, servers: Servers) -> Configured:
    settings = home / ".claude"
    settings.mkdir(exist_ok=True)
    state = {"hasCompletedOnboarding": True, "mcpServers": _stdio(servers)}
    (settings / ".claude.json").write_text(json.dumps(state))
    (settings / "settings.json").write_text(json.dumps({"includeCoAuthoredBy": False}))
    words = ["-p", "--permission-mode", "bypassPermissions"]
    if model:
        words += ["--model", str(model)]
    return words, {
        "ANTHROPIC_BASE_URL": endpoint_url,
        "CLAUDE_CONFIG_DIR": str(settings),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        # Claude refuses to skip permissions for root unless it is told it is in a sandbox.
        "IS_SANDBOX": "1",
    }


def _codex(home: Path, endpoint_url: str, model: object, servers: Servers) -> Configured:
    _codex_settings(home / ".codex", endpoint_url, model, servers)
    words = ["exec", "--dangerously-bypass-approvals-and-sandbox"]
    words += ["--disable", "plugins", "--disable", "apps"]
    return words, {"CODEX_HOME": str(home / ".codex")}


def _gemini(home: Path, endpoint_url: str, model: object, servers: Servers) -> Configured:
    folder = home / ".gemini"
    folder.mkdir(exist_ok=True)
    settings = {
        "general": {"enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "mcpServers": _stdio(servers),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    words = ["--approval-mode", "yolo", *(["-m", str(model)] if model else []), "-p"]
    return words, {
        "GOOGLE_GEMINI_BASE_URL": endpoint_url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }


def _qwen(home: Path, endpoint_url: str, model: object, servers: Servers) -> Configured:
    folder = home / ".qwen"
    folder.mkdir(exist_ok=True)
    settings = {
        "general": {"enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "security": {"auth": {"selectedType": "openai"}},
        "mcpServers": _stdio(servers),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return ["--approval-mode", "yolo", "-p"], {
        "OPENAI_BASE_URL": endpoint_url + "/v1",
        "OPENAI_MODEL": str(model or CHAT_MODEL),
    }


def _opencode(home: Path, endpoint_url: str, model: object, servers: Servers) -> Configured:
    folder = home / ".config" / "opencode"
    folder.mkdir(parents=True, exist_ok=True)
    name = str(model or CHAT_MODEL)
    settings = {
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            "scripted": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Scripted",
                "options": {"baseURL": endpoint_url + "/v1", "apiKey": "{env:SCRIPTED_API_KEY}"},
                "models": {name: {"name": name, "limit": {"context": 100_000, "output": 8_000}}},
            }
        },
        "model": f"scripted/{name}",
        "small_model": f"scripted/{name}",
        "permission": {"*": "allow"},
        "mcp": {
            server: {"type": "local", "command": command} for server, command in servers.items()
        },
    }
    (folder / "opencode.json").write_text(json.dumps(settings))
    return ["run"], {
        "XDG_CONFIG_HOME": str(home / ".config"),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        # It fetches a package for its own plug-ins; nobody answers there, so it goes on at once.
        "npm_config_registry": "http://127.0.0.1:9",
        "npm_config_fetch_retries": "0",
    }


def _pi(home: Path, endpoint_url: str, model: object, servers: Servers) -> Configured:
    if servers:
        raise ValueError("pi speaks to no MCP servers")
    folder = home / ".pi" / "agent"
    folder.mkdir(parents=True, exist_ok=True)
    name = str(model or CHAT_MODEL)
    provider = {
        "baseUrl": endpoint_url + "/v1",
        "api": "openai-completions",
        "apiKey": "$SCRIPTED_API_KEY",
        "models": [{"id": name}],
    }
    (folder / "models.json").write_text(json.dumps({"providers": {"scripted": provider}}))
    words = ["-p", "--provider", "scripted", "--model", name]
    return words, {"PI_OFFLINE": "1", "PI_TELEMETRY": "0", "PI_SKIP_VERSION_CHECK": "1"}


CHAT_MODEL = "scripted-model"
_PROMPT_BEHIND = ("gemini-cli", "qwen-code")
_CONFIGURE = {
    "claude-code": _claude,
    "codex": _codex,
    "gemini-cli": _gemini,
    "opencode": _opencode,
    "pi": _pi,
    "qwen-code": _qwen,
}


def _stdio(servers: Servers) -> dict[str, dict[str, object]]:
    return {
        server: {"type": "stdio", "command": command[0], "args": list(command[1:])}
        for server, command in servers.items()
    }


def _codex_settings(
    folder: Path, endpoint_url: str, model: object, servers: Mapping[str, list[str]]
) -> None:
    folder.mkdir(exist_ok=True)
    lines = [
        f"model = {json.dumps(model or 'gpt-5.5')}",
        'model_provider = "scripted"',
        "check_for_update_on_startup = false",
        "[analytics]",
        "enabled = false",
        "[model_providers.scripted]",
        'name = "Scripted"',
        f"base_url = {json.dumps(endpoint_url + '/v1')}",
        'wire_api = "responses"',
        'env_key = "CODEX_API_KEY"',
    ]
    for server, command in servers.items():
        lines += [
            f"[mcp_servers.{server}]",
            f"command = {json.dumps(command[0])}",
            f"args = {json.dumps(list(command[1:]))}",
            'default_tools_approval_mode = "approve"',
            "required = true",
        ]
    (folder / "config.toml").write_text("\n".join(lines) + "\n")


def _installed(prefix: Path, package: Package, program: Path) -> bool:
    manifest = prefix / "node_modules" / package.name / "package.json"
    try:
        version = json.loads(manifest.read_text())["version"]
    except (OSError, ValueError, KeyError):
        return False
    # npm puts the files in place before it runs the package's own install script.
    complete = (prefix / COMPLETE).exists()
    return complete and version == package.version and program.exists()


def _missing(reason: str) -> Exception:
    if os.environ.get("CI") == "true":
        return RuntimeError(f"on CI the real agents must run: {reason}")
    return AgentMissing(reason)


def real_home() -> str:
    if sys.platform == "win32":
        return os.environ.get("USERPROFILE", "")
    import pwd

    return pwd.getpwuid(os.getuid()).pw_dir


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock file made with O_EXCL; one left by a dead process is broken after 5 minutes."""
    deadline = time.monotonic() + 400
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            try:
                if time.time() - path.stat().st_mtime > 300:
                    path.unlink(missing_ok=True)
                    continue
            except FileNotFoundError:
                continue
            if time.monotonic() > deadline:
                raise _missing(f"{path} is held by somebody else") from None
            time.sleep(0.2)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
