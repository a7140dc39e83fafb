"""Planted secrets: in whatever way they reach a run, they are in nothing that is stored."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import pytest

from support.command_line import agentprov, bundles
from support.model_endpoint import ModelEndpoint, Say, Write
from support.repository import Repository

VALUE = "Zx9-planted-value-7Qk2mN4p"
TOKEN = "ghp" + "_" + "a1B2c3D4e5" * 4
AGENT = """#!{python}
import base64, json, os, pathlib, subprocess
value = os.environ["SOME_API_KEY"]
half = len(value) // 2
told = [
    {{"kind": "session", "id": value}},
    {{"kind": "edit", "path": "a.txt", "text": "key = " + value + "\\n"}},
    {{"kind": "edit", "path": "b.txt", "text": base64.b64encode(("x" + value).encode()).decode()}},
    {{"kind": "edit", "path": "c.txt", "text": value[:half] + "\\n" + value[half:]}},
    {{"kind": "edit", "path": "d.txt", "text": "token {token}"}},
]
place = pathlib.Path(os.environ["AGENTPROV_SCRIPTED_TRANSCRIPT"])
place.write_text("".join(json.dumps(line) + "\\n" for line in told))
for line in told[1:]:
    payload = json.dumps({{"tool_input": line, "headers": {{"x-api-key": value}}}})
    subprocess.run(
        ["sh", os.environ["SPOOL_SCRIPT"], "scripted", "Edit"], input=payload.encode(), check=True
    )
pathlib.Path("clean.txt").write_text("nothing secret\\n")
os.system("git add clean.txt; git commit -qm clean")
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.commit("first")
    return made


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    place = tmp_path / "scripted-agent"
    place.write_text(AGENT.format(python=sys.executable, token=TOKEN))
    place.chmod(0o755)
    return place


def spellings() -> list[bytes]:
    half = len(VALUE) // 2
    forms = [VALUE, TOKEN, VALUE[:half] + "\\n" + VALUE[half:], VALUE.encode().hex()]
    forms += [base64.b64encode(("x" * n + VALUE).encode()).decode()[4:28] for n in range(3)]
    return [form.encode() for form in forms]


def run(repository: Repository, agent: Path, *options: str) -> None:
    import agentprov_hooks

    script = Path(agentprov_hooks.__file__).parent / "spool.sh"
    env = {"SOME_API_KEY": VALUE, "SPOOL_SCRIPT": str(script)}
    answer = agentprov(
        "run", *options, "--label", "ticket=7", "--", str(agent), f"--token={VALUE}", VALUE,
        cwd=repository.top, env=env,
    )  # fmt: skip
    assert answer.status == 0, answer.err


def stored(repository: Repository, home: Path) -> bytes:
    places = [repository.top / ".git" / "agentprov", home / "agentprov"]
    kept = b"".join(
        path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()
    )
    return kept + json.dumps(bundles(repository)).encode()


@pytest.mark.parametrize("options", [(), ("--keep", "transcript")])
def test_planted_secrets_are_in_nothing_that_is_stored(
    repository: Repository, agent: Path, home: Path, options: tuple[str, ...]
) -> None:
    run(repository, agent, *options)
    kept = stored(repository, home)
    assert [form for form in spellings() if form in kept] == []


def test_a_kept_transcript_holds_what_was_said_without_the_secrets(
    repository: Repository, agent: Path
) -> None:
    run(repository, agent, "--keep", "transcript")
    (place,) = (repository.top / ".git/agentprov/sessions").iterdir()
    assert oct((place / "transcript.jsonl").stat().st_mode & 0o777) == "0o600"
    events = agentprov("transcript", place.name[:8], "--json", cwd=repository.top).json()["events"]
    assert [event["payload"]["tool_input"]["path"] for event in events[:4]] == [
        "a.txt", "b.txt", "c.txt", "d.txt",
    ]  # fmt: skip
    assert "[redacted:known-value]" in events[0]["payload"]["tool_input"]["text"]


def test_an_encrypted_transcript_opens_with_the_own_key_and_no_other(
    repository: Repository, agent: Path, tmp_path: Path
) -> None:
    run(repository, agent, "--keep", "transcript", "--encrypt")
    (place,) = (repository.top / ".git/agentprov/sessions").iterdir()
    assert b"a.txt" not in (place / "transcript.jsonl.hpke").read_bytes()
    assert "a.txt" in agentprov("transcript", place.name, cwd=repository.top).out
    other = {"AGENTPROV_HOME": str(tmp_path / "other")}
    assert agentprov("keys", "new", "human", cwd=repository.top, env=other).status == 0
    refused = agentprov("transcript", place.name, cwd=repository.top, env=other)
    assert refused.status == 1
    assert "not the key" in refused.err


def test_without_being_asked_nothing_is_kept(repository: Repository, agent: Path) -> None:
    run(repository, agent)
    (place,) = (repository.top / ".git/agentprov/sessions").iterdir()
    assert not list(place.glob("transcript*"))
    assert os.listdir(place / "spool") == []
    assert agentprov("transcript", place.name, cwd=repository.top).status == 1


TALKER = """#!{python}
import base64, json, os, pathlib, urllib.request
value, half = os.environ["SOME_API_KEY"], len(os.environ["SOME_API_KEY"]) // 2
told = ["my key is " + value, value[:half] + "\\n" + value[half:], "{token}",
        base64.b64encode(value.encode()).decode()]
contents = [{{"role": "user", "parts": [{{"text": text}} for text in told]}}]
base = os.environ["GOOGLE_GEMINI_BASE_URL"]
texts = {{name: {{"type": "string"}} for name in ("file_path", "content")}}
schema = {{"type": "object", "properties": texts, "required": list(texts)}}
tools = [{{"functionDeclarations": [{{"name": "write_file", "parametersJsonSchema": schema}}]}}]
where = "/v1beta/models/gemini-3.1-pro-preview:streamGenerateContent?alt=sse&key=" + value
headers = {{"Content-Type": "application/json", "x-goog-api-key": value, "Cookie": "s=" + value,
           "Authorization": "Bearer " + value, "X-Request-Id": value}}
for _ in range(3):
    asked = {{"contents": contents, "tools": tools}}
    request = urllib.request.Request(base + where, json.dumps(asked).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
    for line in opener.open(request).read().decode().splitlines():
        if line.startswith("data: "):
            for candidate in json.loads(line[6:])["candidates"]:
                contents.append(candidate["content"])
    answers = [{{"functionResponse": {{"name": part["functionCall"]["name"],
                "id": part["functionCall"].get("id"), "response": {{"output": value}}}}}}
               for part in contents[-1]["parts"] if "functionCall" in part]
    contents.append({{"role": "user", "parts": answers or [{{"text": value}}]}})
pathlib.Path("name-{token}.txt").write_text("nothing secret\\n")
pathlib.Path("clean.txt").write_text("nothing secret\\n")
os.system("git add clean.txt; git commit -qm clean")
"""


@pytest.mark.parametrize("options", [(), ("--keep", "transcript")])
def test_planted_secrets_that_pass_the_gateway_are_in_nothing_that_is_stored(
    repository: Repository, tmp_path: Path, home: Path, options: tuple[str, ...]
) -> None:
    place = tmp_path / "bin" / "gemini"
    place.parent.mkdir()
    place.write_text(TALKER.format(python=sys.executable, token=TOKEN))
    place.chmod(0o755)
    settings = tmp_path / "gemini-home" / ".gemini" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"security": {"auth": {"selectedType": "gemini-api-key"}}}')
    script = [
        Write(f"notes-{VALUE}.txt", f"key = {VALUE}\ntoken {TOKEN}\n"),
        Say(f"It is {VALUE}."),
    ]
    with ModelEndpoint(script, root=repository.top) as endpoint:
        env = {
            "SOME_API_KEY": VALUE,
            "GEMINI_API_KEY": VALUE,
            "GOOGLE_GEMINI_BASE_URL": endpoint.url,
            "GEMINI_CLI_HOME": str(settings.parents[1]),
            # What variables say of the model counts for nothing.
            **dict.fromkeys(("GEMINI_MODEL", "ANTHROPIC_MODEL", "AGENTPROV_MODEL"), "liar-9"),
        }
        answer = agentprov(
            "run", "--gateway", "on", *options, "--", str(place), "-p", VALUE,
            cwd=repository.top, env=env,
        )  # fmt: skip
    assert answer.status == 0, answer.err
    # It did pass: otherwise the rest would hold of anything.
    assert any(VALUE in json.dumps(request.body) for request in endpoint.requests)
    assert all(request.headers["x-goog-api-key"] == VALUE for request in endpoint.requests)
    assert any(VALUE in call.arguments for call in endpoint.tool_calls)
    (session,) = agentprov("show", "HEAD", "--json", cwd=repository.top).json()["sessions"]
    told = {(model["served"], model["basis"]) for model in session["models"]}
    assert told == {("gemini-3.1-pro-preview", "intercepted")}
    kept = stored(repository, home)
    assert b"liar-9" not in kept
    assert [form for form in spellings() if form in kept] == []
    assert "secret-in-a-name" in {gap["why"] for gap in session["gaps"]}
