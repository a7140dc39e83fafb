from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats.exchange import ToolCall
from agentprov.ports import AgentAdapter, Launch, LaunchContext, Upstream
from agentprov.record.agents import claude_settings, codex_settings
from agentprov.record.agents.redirection import past_proxies, upstream_at
from agentprov.record.agents.registry import UNKNOWN, adapter_named, adapters
from support import agent_samples as samples

RELAY = "http://127.0.0.1:4711/s/secret"
KEYS = {
    "ANTHROPIC_API_KEY": "k",
    "CODEX_API_KEY": "k",
    "GEMINI_API_KEY": "k",
    "OPENAI_API_KEY": "k",
}


@pytest.fixture(autouse=True)
def _no_managed_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude_settings, "MANAGED", (tmp_path / "managed",))
    monkeypatch.setattr(codex_settings, "SYSTEM", tmp_path / "etc")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def upstream(name: str, base: Path, *argv: str, **environment: str) -> Upstream:
    context = samples.context(base, *argv, **{**KEYS, **environment})
    return adapter_named(name).upstream(context)


def redirected(name: str, context: LaunchContext) -> Launch:
    adapter = adapter_named(name)
    return adapter.redirect(context, adapter.prepare(context), RELAY)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com", "http"),
        ("http://", "http"),
        ("nonsense", "http"),
        ("http://[::1", "read"),
        ("http://host:99999999", "read"),
        ("https://user:secret@example.com/v1", "credentials"),
        ("https://example.com/v1?api-version=1", "query"),
    ],
)
def test_a_base_url_that_a_relay_cannot_stand_in_for_is_left_alone(url: str, why: str) -> None:
    found = upstream_at(url, "p")
    assert found.base_url is None
    assert why in (found.why_not or "")
    assert "secret" not in (found.why_not or "")


def test_a_base_url_keeps_its_path_and_loses_its_last_slash() -> None:
    assert upstream_at("https://[::1]:8443/a/v1/", "p") == Upstream("https://[::1]:8443/a/v1", "p")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.example, localhost"}, "a.example,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "a", "no_proxy": "b"}, "a,b,127.0.0.1,localhost,::1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_loopback_goes_past_proxies_beside_what_the_user_excluded(
    environment: dict[str, str], expected: str
) -> None:
    assert past_proxies(environment) == {"NO_PROXY": expected, "no_proxy": expected}


@pytest.mark.parametrize("adapter", [*adapters(), UNKNOWN], ids=lambda adapter: adapter.name)
def test_every_adapter_gives_an_upstream_or_a_reason_and_reads_odd_calls(
    adapter: AgentAdapter, tmp_path: Path
) -> None:
    found = adapter.upstream(samples.context(tmp_path, "x"))
    assert (found.base_url is None) == (found.why_not is not None)
    names = ("Write", "write", "write_file", "edit", "apply_patch", "exec", "shell", "tool_call")
    for name in (*names, "", "\0"):
        for arguments in ("", "{", "[]", "null", '{"path": 1}', '{"path": "\\ud800"}', "\ud800"):
            assert list(adapter.edits_of(ToolCall("c", name, arguments), "/repo")) == []


@pytest.mark.parametrize("name", ["scripted", "command"])
def test_a_program_that_asks_no_model_we_know_of_is_not_redirected(
    name: str, tmp_path: Path
) -> None:
    context = samples.context(tmp_path, "x")
    assert adapter_named(name).upstream(context).why_not
    assert adapter_named(name).redirect(context, Launch(("x",)), RELAY) == Launch(("x",))


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("claude-code", ("claude", "mcp", "list")),
        ("codex", ("codex", "login")),
        ("gemini-cli", ("gemini", "--version")),
        ("opencode", ("opencode", "models")),
        ("pi", ("pi", "list")),
        ("qwen-code", ("qwen", "--help")),
    ],
)
def test_a_command_that_starts_no_session_is_not_redirected(
    name: str, argv: tuple[str, ...], tmp_path: Path
) -> None:
    assert upstream(name, tmp_path, *argv).why_not == "the command starts no session"


class TestClaudeCode:
    def test_without_settings_it_asks_anthropic(self, tmp_path: Path) -> None:
        found = upstream("claude-code", tmp_path, "claude")
        assert found == Upstream("https://api.anthropic.com", "anthropic")

    def test_each_settings_file_outranks_the_one_before(self, tmp_path: Path) -> None:
        def env(url: str) -> dict[str, Any]:
            return {"env": {"ANTHROPIC_BASE_URL": url}}

        def now(*words: str) -> str | None:
            variable = {"ANTHROPIC_BASE_URL": "http://process"}
            return upstream("claude-code", tmp_path, "claude", *words, **variable).base_url

        assert now() == "http://process"
        write(tmp_path / "home/.claude/settings.json", env("http://user"))
        assert now() == "http://user"
        write(tmp_path / "repo/.claude/settings.json", env("http://project"))
        assert now() == "http://project"
        write(tmp_path / "repo/.claude/settings.local.json", env("http://local"))
        assert now() == "http://local"
        assert now("--setting-sources", "user") == "http://user"
        assert now("--settings", json.dumps(env("http://given"))) == "http://given"
        write(tmp_path / "given.json", env("http://file"))
        assert now("--settings", str(tmp_path / "given.json")) == "http://file"

    @pytest.mark.parametrize(
        ("environment", "why"),
        [
            ({"CLAUDE_CODE_USE_BEDROCK": "1"}, "Bedrock"),
            ({"CLAUDE_CODE_USE_VERTEX": "true"}, "Vertex"),
            ({"CLAUDE_CODE_USE_FOUNDRY": "1"}, "Foundry"),
            ({"ANTHROPIC_API_KEY": ""}, "no API key"),
            ({"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "t"}, "no API key"),
            ({"ANTHROPIC_UNIX_SOCKET": "/s"}, "socket"),
        ],
    )
    def test_clouds_and_logins_without_a_key_are_left_alone(
        self, environment: dict[str, str], why: str, tmp_path: Path
    ) -> None:
        found = upstream("claude-code", tmp_path, "claude", **environment)
        assert found.base_url is None
        assert why in (found.why_not or "")

    def test_a_cloud_that_is_switched_off_counts_for_nothing(self, tmp_path: Path) -> None:
        assert upstream("claude-code", tmp_path, "claude", CLAUDE_CODE_USE_BEDROCK="0").base_url

    def test_a_cloud_that_only_the_repository_chooses_counts_too(self, tmp_path: Path) -> None:
        settings = {"env": {"CLAUDE_CODE_USE_VERTEX": "1"}}
        write(tmp_path / "repo/.claude/settings.json", settings)
        assert "Vertex" in (upstream("claude-code", tmp_path, "claude").why_not or "")

    @pytest.mark.parametrize("place", ["settings", "state"])
    def test_a_key_that_configuration_holds_is_a_key(self, place: str, tmp_path: Path) -> None:
        if place == "settings":
            write(tmp_path / "home/.claude/settings.json", {"apiKeyHelper": "print-key"})
        else:
            write(tmp_path / "home/.claude.json", {"primaryApiKey": "k"})
        assert upstream("claude-code", tmp_path, "claude", ANTHROPIC_API_KEY="").base_url

    def test_managed_settings_that_fix_the_base_url_are_not_fought(self, tmp_path: Path) -> None:
        fixed = {"env": {"ANTHROPIC_BASE_URL": "http://company"}}
        write(tmp_path / "managed/managed-settings.json", fixed)
        assert "fixes the base URL" in (upstream("claude-code", tmp_path, "claude").why_not or "")

    @pytest.mark.parametrize("value", ["{broken", "no-such-file.json"])
    def test_settings_of_the_user_that_cannot_be_read_are_not_replaced(
        self, value: str, tmp_path: Path
    ) -> None:
        found = upstream("claude-code", tmp_path, "claude", "--settings", value)
        assert "cannot be read" in (found.why_not or "")

    def test_the_redirection_is_one_private_settings_file_that_holds_the_users_own(
        self, tmp_path: Path
    ) -> None:
        own = {
            "permissions": {"allow": ["Read"]},
            "env": {"A": "1", "ANTHROPIC_BASE_URL": "http://x"},
        }
        words = ("--settings={}", "--settings", json.dumps(own), "-p", "--", "--settings", "x")
        context = samples.context(tmp_path, "claude", *words, NO_PROXY="corp", **KEYS)
        launch = redirected("claude-code", context)

        assert launch.argv.count("--settings") == 2
        assert launch.argv[-4:] == ("-p", "--", "--settings", "x")
        place = Path(launch.argv[launch.argv.index("--settings") + 1])
        assert place.parent == context.scratch
        if sys.platform != "win32":
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
        settings = json.loads(place.read_text())
        assert settings["permissions"] == own["permissions"]
        assert settings["env"]["A"] == "1"
        assert settings["env"]["ANTHROPIC_BASE_URL"] == RELAY
        assert settings["env"]["NO_PROXY"] == "corp,127.0.0.1,localhost,::1"
        assert launch.environment["ANTHROPIC_BASE_URL"] == RELAY
        assert "--plugin-dir" in launch.argv

    def test_a_proxy_exception_of_the_repository_does_not_hide_the_relay(
        self, tmp_path: Path
    ) -> None:
        write(tmp_path / "repo/.claude/settings.json", {"env": {"NO_PROXY": "only.example"}})
        launch = redirected("claude-code", samples.context(tmp_path, "claude", **KEYS))
        place = Path(launch.argv[launch.argv.index("--settings") + 1])
        assert "127.0.0.1" in json.loads(place.read_text())["env"]["NO_PROXY"]


class TestCodex:
    def test_without_settings_it_asks_openai(self, tmp_path: Path) -> None:
        found = upstream("codex", tmp_path, "codex", OPENAI_BASE_URL="http://ignored")
        assert found == Upstream("https://api.openai.com/v1", "openai")

    def test_settings_profiles_and_the_command_line_name_the_provider(self, tmp_path: Path) -> None:
        write(
            tmp_path / "home/.codex/config.toml",
            'model_provider = "mine"\nopenai_base_url = "http://openai/v1"\n'
            '[model_providers.mine]\nbase_url = "http://mine/v1"\n'
            '[model_providers.other]\nbase_url = "http://other/v1"\n'
            '[profiles.work]\nmodel_provider = "other"\n',
        )

        def now(*words: str) -> str | None:
            return upstream("codex", tmp_path, "codex", *words).base_url

        assert now("exec") == "http://mine/v1"
        assert now("-p", "work", "exec") == "http://other/v1"
        assert now("-c", "model_provider=openai") == "http://openai/v1"
        assert now("-cmodel_provider=other") == "http://other/v1"
        assert now("-c", 'model_providers.mine.base_url="http://cli/v1"') == "http://cli/v1"

    def test_settings_of_a_repository_count_only_if_it_is_trusted(self, tmp_path: Path) -> None:
        write(tmp_path / "repo/.codex/config.toml", 'openai_base_url = "http://repo/v1"\n')
        assert upstream("codex", tmp_path, "codex").base_url == "https://api.openai.com/v1"
        trusted = f'[projects."{tmp_path / "repo"}"]\ntrust_level = "trusted"\n'
        write(tmp_path / "home/.codex/config.toml", trusted)
        assert upstream("codex", tmp_path, "codex").base_url == "http://repo/v1"

    def test_a_chatgpt_login_is_left_alone_and_a_stored_key_is_not(self, tmp_path: Path) -> None:
        login = tmp_path / "home/.codex/auth.json"
        write(login, {"OPENAI_API_KEY": None, "tokens": {"access_token": "t"}})
        assert "no API key" in (
            upstream("codex", tmp_path, "codex", CODEX_API_KEY="").why_not or ""
        )
        write(login, {"OPENAI_API_KEY": "k", "auth_mode": "chatgpt"})
        assert upstream("codex", tmp_path, "codex", CODEX_API_KEY="").why_not
        write(login, {"OPENAI_API_KEY": "k"})
        assert upstream("codex", tmp_path, "codex", CODEX_API_KEY="").base_url

    @pytest.mark.parametrize("words", [("--oss",), ("-c", "model_provider=ollama")])
    def test_built_in_local_models_are_left_alone(
        self, words: tuple[str, ...], tmp_path: Path
    ) -> None:
        assert "built-in" in (upstream("codex", tmp_path, "codex", *words).why_not or "")

    def test_a_provider_whose_name_is_no_plain_word_is_left_alone(self, tmp_path: Path) -> None:
        found = upstream("codex", tmp_path, "codex", "-c", "model_provider='a.b'")
        assert "command line" in (found.why_not or "")

    def test_managed_settings_are_not_fought(self, tmp_path: Path) -> None:
        write(tmp_path / "etc/managed_config.toml", 'openai_base_url = "http://company"\n')
        assert "managed" in (upstream("codex", tmp_path, "codex").why_not or "")

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (("exec", "x"), ("-c", f'openai_base_url="{RELAY}"')),
            (
                ("exec", "-c", 'openai_base_url="http://own"', "--", "-c"),
                ("-c", f'openai_base_url="{RELAY}"', "--", "-c"),
            ),
        ],
    )
    def test_the_redirection_comes_behind_the_users_own_options(
        self, words: tuple[str, ...], expected: tuple[str, ...], tmp_path: Path
    ) -> None:
        launch = redirected("codex", samples.context(tmp_path, "codex", *words, **KEYS))
        assert launch.argv[1:3] == words[:2]
        assert launch.argv[-len(expected) :] == expected
        assert "OPENAI_BASE_URL" not in launch.environment


class TestGeminiCli:
    def test_it_asks_google_with_a_key_and_a_login_that_settings_choose(
        self, tmp_path: Path
    ) -> None:
        chosen = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
        assert "choose no login" in (upstream("gemini-cli", tmp_path, "gemini").why_not or "")
        write(tmp_path / "repo/.gemini/settings.json", chosen)
        assert "choose no login" in (upstream("gemini-cli", tmp_path, "gemini").why_not or "")
        write(tmp_path / "home/.gemini/settings.json", chosen)
        found = upstream("gemini-cli", tmp_path, "gemini")
        assert found == Upstream("https://generativelanguage.googleapis.com", "google")
        assert upstream("gemini-cli", tmp_path, "gemini", GEMINI_API_KEY="").why_not
        other = {"security": {"auth": {"selectedType": "oauth-personal"}}}
        write(tmp_path / "repo/.gemini/settings.json", other)
        assert "no API key" in (upstream("gemini-cli", tmp_path, "gemini").why_not or "")

    def test_variables_outrank_the_env_file(self, tmp_path: Path) -> None:
        chosen = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
        write(tmp_path / "home/.gemini/settings.json", chosen)
        write(tmp_path / "repo/.env", 'export GOOGLE_GEMINI_BASE_URL="http://file"\n# X=1\n')
        assert upstream("gemini-cli", tmp_path, "gemini").base_url == "http://file"
        here = {"GOOGLE_GEMINI_BASE_URL": "http://process"}
        assert upstream("gemini-cli", tmp_path, "gemini", **here).base_url == "http://process"

    def test_vertex_ai_is_left_alone(self, tmp_path: Path) -> None:
        found = upstream("gemini-cli", tmp_path, "gemini", GOOGLE_GENAI_USE_VERTEXAI="true")
        assert "another way" in (found.why_not or "")

    def test_the_redirection_is_a_variable(self, tmp_path: Path) -> None:
        launch = redirected("gemini-cli", samples.context(tmp_path, "gemini", "-p", "x", **KEYS))
        assert launch.argv == ("gemini", "-p", "x")
        assert launch.environment["GOOGLE_GEMINI_BASE_URL"] == RELAY


class TestOpenCode:
    CONFIG = """{
      // the user's own "words"
      "model": "mine/large", /* and
      more */ "provider": {"mine": {"options": {"baseURL": "{env:WHERE}/v1",},},},
    }"""

    def test_the_provider_of_the_chosen_model_tells_where_it_asks(self, tmp_path: Path) -> None:
        write(tmp_path / "home/.config/opencode/opencode.jsonc", self.CONFIG)
        where = {"WHERE": "http://here"}
        found = upstream("opencode", tmp_path, "opencode", "run", "x", **where)
        assert found == Upstream("http://here/v1", "mine")
        found = upstream("opencode", tmp_path, "opencode", "run", "-m", "openai/gpt", "x")
        assert found == Upstream("https://api.openai.com/v1", "openai")
        assert upstream("opencode", tmp_path, "opencode", "-m", "strange/m").why_not
        write(tmp_path / "repo/opencode.json", {"model": "openai/gpt"})
        assert upstream("opencode", tmp_path, "opencode").provider == "openai"

    def test_without_a_chosen_model_or_with_a_subscription_it_is_left_alone(
        self, tmp_path: Path
    ) -> None:
        assert "no model" in (upstream("opencode", tmp_path, "opencode").why_not or "")
        login = tmp_path / "home/.local/share/opencode/auth.json"
        write(login, {"anthropic": {"type": "oauth"}})
        found = upstream("opencode", tmp_path, "opencode", "-m", "anthropic/claude")
        assert "no API key" in (found.why_not or "")

    def test_the_redirection_joins_the_users_own_variable_and_names_who_goes_past_it(
        self, tmp_path: Path
    ) -> None:
        write(tmp_path / "home/.config/opencode/opencode.jsonc", self.CONFIG)
        own = {"small_model": "openai/mini", "provider": {"mine": {"options": {"timeout": 5}}}}
        content = {"OPENCODE_CONFIG_CONTENT": json.dumps(own)}
        launch = redirected(
            "opencode", samples.context(tmp_path, "opencode", "run", "x", **content)
        )
        put = json.loads(launch.environment["OPENCODE_CONFIG_CONTENT"])
        assert put["small_model"] == "openai/mini"
        assert put["provider"]["mine"]["options"] == {"timeout": 5, "baseURL": RELAY}
        assert launch.gaps == ("off-the-wire: openai",)
        assert launch.argv == ("opencode", "run", "x")

    def test_a_variable_of_the_user_that_cannot_be_read_is_not_replaced(
        self, tmp_path: Path
    ) -> None:
        broken = {"OPENCODE_CONFIG_CONTENT": "{"}
        found = upstream("opencode", tmp_path, "opencode", "-m", "openai/x", **broken)
        assert "cannot be read" in (found.why_not or "")


@pytest.fixture
def pi_program(tmp_path: Path) -> str:
    program = tmp_path / "lib/pi-coding-agent/cli.js"
    write(program, "#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pi").symlink_to(program)
    return str(tmp_path / "bin/pi")


class TestPi:
    def test_the_chosen_provider_tells_where_it_asks(self, pi_program: str, tmp_path: Path) -> None:
        models = {"providers": {"mine": {"baseUrl": "http://mine/v1"}}}
        write(tmp_path / "home/.pi/agent/models.json", models)
        words = ("--provider", "mine")
        assert upstream("pi", tmp_path, pi_program, *words) == Upstream("http://mine/v1", "mine")
        assert upstream("pi", tmp_path, pi_program, "--model", "mine/m").provider == "mine"
        assert upstream("pi", tmp_path, pi_program).why_not
        write(tmp_path / "home/.pi/agent/settings.json", {"defaultProvider": "anthropic"})
        found = upstream("pi", tmp_path, pi_program)
        assert found == Upstream("https://api.anthropic.com", "anthropic")
        write(tmp_path / "repo/.pi/settings.json", {"defaultProvider": "openai"})
        assert "no provider" in (upstream("pi", tmp_path, pi_program).why_not or "")

    def test_a_subscription_is_left_alone(self, pi_program: str, tmp_path: Path) -> None:
        write(tmp_path / "home/.pi/agent/auth.json", {"anthropic": {"type": "oauth"}})
        found = upstream("pi", tmp_path, pi_program, "--provider", "anthropic")
        assert "no API key" in (found.why_not or "")

    def test_hooks_and_relay_are_extensions_in_front_of_the_users_words(
        self, pi_program: str, tmp_path: Path
    ) -> None:
        context = samples.context(tmp_path, pi_program, "--provider", "mine", "--", "x")
        launch = redirected("pi", context)
        (one, two) = (launch.argv[2], launch.argv[4])
        assert launch.argv[1::2][:2] == ("-e", "-e")
        assert launch.argv[5:] == ("--provider", "mine", "--", "x")
        assert {Path(one).parent, Path(two).parent} == {context.scratch}
        assert f'registerProvider("mine", {{ baseUrl: "{RELAY}" }})' in Path(one).read_text()
        assert str(context.spool_script) in Path(two).read_text()

    def test_another_program_of_that_name_is_left_as_it_is(self, tmp_path: Path) -> None:
        write(tmp_path / "bin/pi", "#!/bin/sh\n")
        context = samples.context(tmp_path, str(tmp_path / "bin/pi"), "--digits", "100")
        assert adapter_named("pi").prepare(context) == Launch(context.argv)


class TestQwenCode:
    def test_options_variables_and_settings_tell_where_it_asks(self, tmp_path: Path) -> None:
        def now(*words: str, **environment: str) -> str | None:
            return upstream("qwen-code", tmp_path, "qwen", *words, **environment).base_url

        assert now() == "https://api.openai.com/v1"
        write(tmp_path / "repo/.qwen/settings.json", {"env": {"OPENAI_BASE_URL": "http://env"}})
        assert now() == "http://env"
        write(tmp_path / "repo/.env", "OPENAI_BASE_URL=http://file\n")
        assert now() == "http://file"
        assert now(OPENAI_BASE_URL="http://process") == "http://process"
        assert now("--openai-base-url", "http://option") == "http://option"

    def test_other_logins_and_models_configured_one_by_one_are_left_alone(
        self, tmp_path: Path
    ) -> None:
        assert upstream("qwen-code", tmp_path, "qwen", OPENAI_API_KEY="").why_not
        assert upstream("qwen-code", tmp_path, "qwen", "--auth-type", "qwen-oauth").why_not
        settings = {"modelProviders": {"openai": [{"id": "m", "baseUrl": "http://elsewhere"}]}}
        write(tmp_path / "repo/.qwen/settings.json", settings)
        assert "one by one" in (upstream("qwen-code", tmp_path, "qwen").why_not or "")

    def test_the_redirection_is_an_option_in_place_of_the_users_own(self, tmp_path: Path) -> None:
        words = ("--openai-base-url=http://own", "-p", "x")
        launch = redirected("qwen-code", samples.context(tmp_path, "qwen", *words, **KEYS))
        assert launch.argv == ("qwen", "--openai-base-url", RELAY, "-p", "x")
        assert launch.environment["OPENAI_BASE_URL"] == RELAY

    def test_hooks_join_those_that_the_machines_own_settings_have(self, tmp_path: Path) -> None:
        hook = {"hooks": [{"type": "command", "command": "company"}]}
        write(
            tmp_path / "system.json", {"hooks": {"Stop": [hook]}, "telemetry": {"enabled": False}}
        )
        own = {"QWEN_CODE_SYSTEM_SETTINGS_PATH": str(tmp_path / "system.json")}
        launch = adapter_named("qwen-code").prepare(samples.context(tmp_path, "qwen", **own))
        place = Path(launch.environment["QWEN_CODE_SYSTEM_SETTINGS_PATH"])
        settings = json.loads(place.read_text())
        assert settings["telemetry"] == {"enabled": False}
        assert settings["hooks"]["Stop"][0] == hook
        assert len(settings["hooks"]["Stop"]) == 2
        command = settings["hooks"]["PreToolUse"][0]["hooks"][0]["command"]
        assert command.endswith(">/dev/null 2>&1 || :")
        assert launch.channels == ("hooks", "transcript")
