"""`agentprov export`: verified records as git-ai notes and Agent Trace records, and back again.

git-ai itself is not run: what it would read is read by our own reader of its format.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agentprov.formats.digest import sha256
from agentprov.formats.foreign import content_hash, git_ai
from support.command_line import Answer, agentprov, bundles, changes, generations
from support.foreign import IMPORT, LOCAL, SESSION, git_ai_note, trust_listing_imports
from support.repository import Repository

DATA = Path(__file__).resolve().parents[1] / "data" / "interop"
SCHEMA = json.loads((DATA / "agent-trace-schema.json").read_bytes())
TEXT = "def greet(name):\n    return 'hello ' + name\n"
AGENT = f"""#!{sys.executable}
import json, os, subprocess
with open(os.environ["AGENTPROV_SCRIPTED_TRANSCRIPT"], "w") as out:
    def tell(**line): out.write(json.dumps(line) + "\\n")
    tell(kind="model", provider="scripted", requested="m", served="m-1", inputTokens=1)
    text = {TEXT!r}
    with open("say hello.py", "w") as file: file.write(text + "# more\\n")
    tell(kind="edit", path="say hello.py", text=text)
subprocess.run(["git", "add", "-A"], check=True)
subprocess.run(["git", "commit", "-qm", "Add greet"], check=True)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A commit of a scripted agent's under a signed plan: two lines of a model, one of nobody."""
    made = Repository(tmp_path / "repo")
    made.write("PLAN.md", "# Plan\n\nGreet people.\n")
    made.commit("first")
    agent = tmp_path / "scripted_agent.py"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    assert agentprov("plan", "sign", "PLAN.md", cwd=made.top).status == 0
    ran = agentprov("run", "--plan", "PLAN.md", "--", str(agent), cwd=made.top)
    assert ran.status == 0, ran.err
    return made


def export(repository: Repository, format_: str, *words: str) -> Answer:
    answer = agentprov("export", "--format", format_, *words, cwd=repository.top)
    assert answer.status == 0, answer.err
    return answer


def own_generation(repository: Repository) -> tuple[dict[str, Any], str]:
    """Give the recorded generation and the digest of its payload."""
    for line in repository.bundles("HEAD"):
        payload = base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"])
        if LOCAL in payload.decode() and "agentprov_changes" in payload.decode():
            return json.loads(payload), sha256(payload)
    raise AssertionError("nothing recorded")


def stated(generation: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (item["start"], item["end"], item["origin"], item.get("model"))
        for item in changes(generation)["say hello.py"]["ranges"]
    ]


def test_a_note_of_git_ais_holds_the_models_lines_and_the_statements_digest(
    repository: Repository,
) -> None:
    generation, digest = own_generation(repository)
    assert stated(generation) == [(1, 2, "model", "m-1"), (3, 3, "unknown", None)]
    session = generation["predicate"]["runDetails"]["metadata"]["invocationId"]
    answer = export(repository, "git-ai", "HEAD", "--json").json()
    assert (answer["sessions"], answer["findings"]) == (1, [])
    note = repository.git("notes", "--ref=ai", "show", "HEAD")
    agent = generation["predicate"]["buildDefinition"]["externalParameters"]["agent"]
    key = git_ai.session_key(agent, session)
    first, _, second = note.partition("\n---\n")
    assert first == f'"say hello.py"\n  {key}::t_{digest[:14]} 1-2'
    (record,) = json.loads(second)["sessions"].values()
    assert record["agent_id"] == {"tool": agent, "id": session, "model": "m-1"}
    assert record["custom_attributes"] == {
        "agentprov.generation": f"sha256:{digest}",
        "agentprov.builder": LOCAL,
        "agentprov.basis": "reported",
    }


def test_notes_that_are_there_stay_and_other_refs_are_refused(repository: Repository) -> None:
    theirs = git_ai_note(repository, "HEAD~1", f"PLAN.md\n  {SESSION}::t_9bda2433444ef9 1\n")
    export(repository, "git-ai", "HEAD")
    ours = repository.git("notes", "--ref=ai", "show", "HEAD")
    again = export(repository, "git-ai", "HEAD", "--json").json()
    assert (again["commits"], [f["code"] for f in again["findings"]]) == ([], ["note-exists"])
    assert repository.git("notes", "--ref=ai", "show", "HEAD") == ours
    assert repository.git("notes", "--ref=ai", "show", "HEAD~1").encode() == theirs
    repository.git("fsck", "--strict")
    before = repository.git("for-each-ref")
    for ref in ("refs/notes/agentprov", "refs/notes/commits", "refs/heads/main"):
        refused = agentprov("export", "--format", "git-ai", "--ref", ref, cwd=repository.top)
        assert refused.status == 2, ref
    assert repository.git("for-each-ref") == before


def test_a_trace_record_fits_the_schema_with_hashes_grades_and_links(
    repository: Repository, tmp_path: Path
) -> None:
    _, digest = own_generation(repository)
    approved = agentprov("approve", "HEAD", "--yes", cwd=repository.top)
    assert approved.status == 0, approved.err
    place = tmp_path / "traces.jsonl"
    export(repository, "agent-trace", "HEAD~1..HEAD", "--output", str(place))
    (line,) = place.read_text().splitlines()
    assert export(repository, "agent-trace", "HEAD").out == line + "\n"
    record = json.loads(line)
    jsonschema.validate(record, SCHEMA)
    assert record["vcs"] == {"type": "git", "revision": repository.git("rev-parse", "HEAD")}
    (file,) = record["files"]
    said = [(one["contributor"], one["ranges"][0]) for one in file["conversations"]]
    lines = (TEXT + "# more\n").encode().split(b"\n")
    assert said == [
        (
            {"type": "ai", "model_id": "scripted/m-1"},
            {"start_line": 1, "end_line": 2, "content_hash": content_hash.of(lines[:2])},
        ),
        (
            {"type": "unknown"},
            {"start_line": 3, "end_line": 3, "content_hash": content_hash.of(lines[2:3])},
        ),
    ]
    links = file["conversations"][0]["related"]
    assert [link["type"] for link in links] == ["plan", "approval"]
    assert all(link["url"].startswith("urn:agentprov:statement:") for link in links)
    ours = record["metadata"]["io.github.agentprov"]
    assert (ours["statement"], ours["basis"]) == ({"sha256": digest}, "reported")
    assert [(one["origin"], one["basis"]) for one in ours["ranges"]] == [
        ("model", "reported"),
        ("unknown", "observed"),
    ]


@pytest.mark.parametrize("format_", ["git-ai", "agent-trace"])
def test_what_was_exported_is_imported_as_the_same_lines_of_the_same_model(
    repository: Repository, tmp_path: Path, format_: str
) -> None:
    generation, _ = own_generation(repository)
    place = tmp_path / "traces.jsonl"
    words = ("--output", str(place)) if format_ == "agent-trace" else ()
    export(repository, format_, "HEAD", *words)
    back = agentprov("import", "--format", format_, *words[1:], "--json", cwd=repository.top).json()
    assert (back["added"], back["findings"]) == (1, [])
    imported = [
        one
        for one in generations(repository)
        if one["predicate"]["runDetails"]["builder"]["id"] == IMPORT
    ]
    assert stated(imported[0])[0] == stated(generation)[0]
    assert stated(imported[0])[1][:3] == (3, 3, "unknown")


def test_only_what_holds_goes_out_and_imports_do_not(
    repository: Repository, tmp_path: Path
) -> None:
    git_ai_note(repository, "HEAD~1", f"PLAN.md\n  {SESSION}::t_9bda2433444ef9 1-3\n")
    assert agentprov("import", "--format", "git-ai", cwd=repository.top).status == 0
    trust = str(trust_listing_imports(tmp_path / "trust.yaml"))
    words = ("HEAD~1", "--trust", trust, "--json")
    answer = export(repository, "agent-trace", *words).json()
    assert (answer["records"], answer["importsLeftOut"]) == ([], 1)
    # A commit whose record is of other bytes: nothing of it may leave.
    repository.write("say hello.py", "tampered\n")
    old = repository.git("rev-parse", "HEAD")
    repository.git("commit", "-qa", "--amend", "--no-edit", "--no-verify")
    repository.git("notes", "--ref=agentprov", "copy", "--force", old, "HEAD")
    answer = export(repository, "agent-trace", "HEAD", "--json").json()
    assert answer["records"] == []
    assert bundles(repository) != []


def test_words_that_do_not_fit_are_told(tmp_path: Path) -> None:
    made = Repository(tmp_path / "repo")
    made.write("PLAN.md", "x")
    made.commit("first")
    for words in (
        ("--format", "word"),
        ("--format", "git-ai", "--output", "x"),
        ("--format", "agent-trace", "PLAN.md"),
    ):
        assert agentprov("export", *words, cwd=made.top).status == 2
