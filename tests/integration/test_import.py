"""`agentprov import` over real repositories: what becomes of notes, traces, transcripts, trailers.

git-ai itself and the agents are not run here: notes, records and transcripts are made as they
write them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agentprov.flows import import_records
from agentprov.flows.foreign_sources import Wanted
from agentprov.flows.world import World
from agentprov.formats.foreign import content_hash
from support.command_line import Answer, agentprov, bundles, changes, generations
from support.foreign import (
    AT,
    IMPORT,
    LATER,
    LOCAL,
    SESSION,
    claude_transcript,
    codex_rollout,
    commit_at,
    file_of,
    git_ai_note,
    trace,
    trust_listing_imports,
)
from support.repository import Repository

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "agents"
LINES = [
    "def measure(table):",
    "    total = sum(table)",
    "    return total / len(table)",
    "",
    "# written by hand one evening",
]
TEXT = "\n".join(LINES) + "\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One commit before and one that adds five lines."""
    made = Repository(tmp_path / "repo")
    made.write("README.md", "A repository.\n")
    commit_at(made, "2025-01-01T00:00:00Z", "first")
    made.write("src/app.py", TEXT)
    commit_at(made, LATER, "Add app\n\nCo-Authored-By: Claude <noreply@anthropic.com>")
    return made


def take(repository: Repository, format_: str, *words: str) -> Any:
    answer = agentprov("import", "--format", format_, *words, "--json", cwd=repository.top)
    assert answer.status == 0, answer.err
    return answer.json()


def trusting(repository: Repository) -> Path:
    return trust_listing_imports(repository.top.parent / "trust.yaml")


def verify(repository: Repository, *words: str) -> Answer:
    return agentprov("verify", "HEAD", *words, "--format", "json", cwd=repository.top)


def ranges(repository: Repository, path: str = "src/app.py") -> list[tuple[Any, ...]]:
    (generation,) = generations(repository)
    found = changes(generation)[path]["ranges"]
    return [(r["start"], r["end"], r["origin"], r["basis"], r.get("why")) for r in found]


def note_lines(repository: Repository) -> list[str]:
    return repository.bundles("HEAD")


def codes(found: Any) -> set[str]:
    return {item["code"] for item in found["findings"]}


def test_a_note_of_git_ai_becomes_a_declared_session_with_its_lines(repository: Repository) -> None:
    note = git_ai_note(
        repository, "HEAD", f"src/app.py\n  {SESSION}::t_9bda2433444ef9 1-3\n  h_9e71e8b09f7cf2 5\n"
    )
    found = take(repository, "git-ai")
    assert (found["added"], found["findings"]) == (1, [])
    assert ranges(repository) == [
        (1, 3, "model", "declared", None),
        (4, 4, "unknown", "declared", "not-declared"),
        (5, 5, "unknown", "declared", "declared-human"),
    ]
    stated = {s["predicate"].get("phase", "generation"): s for s in bundles(repository)}
    opened, generation, closed = stated["open"], stated["generation"], stated["close"]
    digest = sha256(note + b"\n").hexdigest()
    assert opened["predicate"]["imported"] == [{"format": "git-ai", "digest": {"sha256": digest}}]
    assert opened["subject"][0]["digest"] == {"sha256": digest}
    assert opened["predicate"]["agent"]["name"] == "claude-code"
    assert closed["predicate"]["session"]["outcome"] == "incomplete"
    dependencies = {
        item["name"]: item
        for item in generation["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert dependencies["import-source"]["digest"] == {"sha256": digest}
    assert dependencies["model/1"]["uri"] == "pkg:generic/anthropic/claude-opus-5"
    assert dependencies["model/1"]["annotations"]["basis"] == "declared"
    assert generation["predicate"]["runDetails"]["builder"]["id"] == IMPORT
    assert "Jo" not in json.dumps(bundles(repository))


def test_importing_twice_or_dry_adds_nothing(repository: Repository) -> None:
    git_ai_note(repository, "HEAD", f"src/app.py\n  {SESSION}::t_9bda2433444ef9 1-3\n")
    dry = take(repository, "git-ai", "--dry-run")
    assert (dry["added"], bundles(repository)) == (1, [])
    first = take(repository, "git-ai")
    stored = note_lines(repository)
    again = take(repository, "git-ai")
    assert (first["added"], again["added"]) == (1, 0)
    assert [s["session"] for s in again["sessions"]] == [s["session"] for s in dry["sessions"]]
    assert note_lines(repository) == stored and len(stored) == 3


def test_a_forged_copy_with_our_hint_does_not_keep_the_real_one_out(
    repository: Repository,
) -> None:
    take(repository, "trailers")
    real = note_lines(repository)
    forged = []
    for line in real:
        bundle = json.loads(line)
        signature = bundle["dsseEnvelope"]["signatures"][0]
        signature["sig"] = ("MEUC" if not signature["sig"].startswith("MEUC") else "MEQC") + (
            signature["sig"][4:]
        )
        forged.append(json.dumps(bundle, separators=(",", ":")))
    body = ("\n".join(forged) + "\n").encode()
    repository.git("notes", "--ref=agentprov", "add", "-f", "-F", "-", "HEAD", input=body)
    assert take(repository, "trailers")["added"] == 1
    assert len(note_lines(repository)) == 6


def test_an_import_counts_only_where_the_trust_file_lists_its_builder(
    repository: Repository, tmp_path: Path
) -> None:
    git_ai_note(repository, "HEAD", f"src/app.py\n  {SESSION}::t_9bda2433444ef9 1-3\n")
    take(repository, "git-ai")
    trust = trusting(repository)
    own = tmp_path / "own.yaml"
    own.write_text(trust.read_text().replace(f"  - {IMPORT}\n", ""))
    for words in ((), ("--trust", str(own))):
        answer = verify(repository, *words)
        assert answer.status == 10
        told = [f["code"] for f in answer.json()["findings"]]
        assert told == ["import-not-counted", "provenance-missing"]
        assert answer.json()["commits"][0]["coverage"] == "uncovered"
    answer = verify(repository, "--trust", str(trust))
    assert answer.status == 0, answer.out
    verdict = answer.json()
    assert verdict["commits"][0]["coverage"] == "covered"
    assert verdict["commits"][0]["generations"][0]["builder"] == IMPORT
    assert codes(verdict) == {"imported-record"}
    assert any("imported from git-ai" in item["claim"] for item in verdict["notProven"])
    text = agentprov("verify", "HEAD", "--trust", str(trust), cwd=repository.top)
    assert "imported by" in text.out and "recorded by" not in text.out
    shown = agentprov("show", "HEAD", "--trust", str(trust), "--json", cwd=repository.top).json()
    assert shown["sessions"][0]["files"][0]["origins"]["model"] == 3


def test_a_recorded_session_counts_and_the_import_beside_it_changes_nothing(
    repository: Repository,
) -> None:
    script = f"printf '%s' '{TEXT}' > b.py; git add b.py; git commit -qm b"
    assert agentprov("run", "--", "sh", "-c", script, cwd=repository.top).status == 0
    trust = trusting(repository)
    before = verify(repository, "--trust", str(trust)).json()
    git_ai_note(repository, "HEAD", f"b.py\n  {SESSION}::t_9bda2433444ef9 1-5\n", tool="cursor")
    assert take(repository, "git-ai")["added"] == 1
    answer = verify(repository, "--trust", str(trust))
    after = answer.json()
    assert answer.status == 0
    assert after["commits"] == before["commits"]
    assert codes(after) - codes(before) == {"import-set-aside", "imported-record"}
    shown = agentprov("show", "HEAD", "--trust", str(trust), "--json", cwd=repository.top).json()
    assert [session["builder"] for session in shown["sessions"]] == [LOCAL]


def test_lines_that_the_commit_did_not_add_are_left_out_and_told(repository: Repository) -> None:
    entries = (
        f"src/app.py\n  {SESSION}::t_9bda2433444ef9 3-2147483647\n"
        f"README.md\n  {SESSION}::t_9bda2433444ef9 1\n"
        f"../../etc/passwd\n  {SESSION}::t_9bda2433444ef9 1\n"
    )
    git_ai_note(repository, "HEAD", entries)
    found = take(repository, "git-ai")
    assert codes(found) == {"lines-not-added", "path-refused"}
    assert ranges(repository)[-1] == (3, 5, "model", "declared", None)
    assert list(changes(generations(repository)[0])) == ["src/app.py"]


def test_a_broken_note_does_not_stop_the_others(repository: Repository) -> None:
    git_ai_note(repository, "HEAD", f"src/app.py\n  {SESSION}::t_9bda2433444ef9 1\n")
    repository.git("notes", "--ref=ai", "add", "-m", "no such note", "HEAD~1")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    git_ai_note(repository, tree, f"a\n  {SESSION}::t_9bda2433444ef9 1\n")
    found = take(repository, "git-ai")
    assert found["added"] == 1
    assert codes(found) == {"note-refused", "commit-missing"}


def test_a_range_limits_what_is_imported(repository: Repository) -> None:
    git_ai_note(repository, "HEAD", f"src/app.py\n  {SESSION}::t_9bda2433444ef9 1\n")
    git_ai_note(repository, "HEAD~1", f"README.md\n  {SESSION}::t_9bda2433444ef9 1\n")
    found = take(repository, "git-ai", "--range", "HEAD~1..HEAD")
    assert [s["commit"] for s in found["sessions"]] == [repository.git("rev-parse", "HEAD")]


def test_trailers_declare_a_commit_and_no_line(repository: Repository) -> None:
    found = take(repository, "trailers")
    assert [(s["agent"], s["files"], s["lines"]) for s in found["sessions"]] == [
        ("claude-code", 0, 0)
    ]
    (generation,) = generations(repository)
    assert changes(generation) == {}
    labels = generation["predicate"]["buildDefinition"]["externalParameters"]["labels"]
    assert labels == {"trailers": "Co-authored-by"}
    assert verify(repository, "--trust", str(trusting(repository))).status == 0


def test_an_agent_trace_record_becomes_a_declared_session(repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    record = trace(
        head,
        [
            file_of(
                "src/app.py",
                {"start_line": 1, "end_line": 2},
                {"start_line": 5, "end_line": 5, "contributor": {"type": "human"}},
                {"start_line": 4, "end_line": 4, "contributor": {"type": "mixed"}},
            )
        ],
    )
    lines = json.dumps(record) + "\n" + json.dumps(trace(head, [file_of(".sessions")])) + "\n{}\n"
    repository.write(".agent-trace/traces.jsonl", lines)
    found = take(repository, "agent-trace")
    assert [(s["agent"], s["model"]) for s in found["sessions"]] == [("cursor", "gpt-5")]
    assert codes(found) == {"record-refused"}
    assert ranges(repository) == [
        (1, 2, "model", "declared", None),
        (3, 3, "unknown", "declared", "not-declared"),
        (4, 4, "unknown", "declared", "declared-mixed"),
        (5, 5, "unknown", "declared", "declared-human"),
    ]
    assert verify(repository, "--trust", str(trusting(repository))).status == 0


@pytest.mark.parametrize("algorithm", ["sha256", "murmur3"])
def test_a_hashed_range_is_found_where_its_lines_stand_and_nowhere_else(
    repository: Repository, algorithm: str
) -> None:
    lines = [line.encode() for line in LINES]
    digest = content_hash.of(lines[1:3])
    if algorithm == "murmur3":
        number = content_hash.murmur3(b"\n".join(lines[1:3]))
        digest = f"murmur3:{number:08x}"
    # A hook notes the commit that it works on top of, and where the lines stood at that moment.
    base = repository.git("rev-parse", "HEAD~1")
    good = {"start_line": 1, "end_line": 2, "content_hash": digest}
    wrong = {"start_line": 1, "end_line": 1, "content_hash": content_hash.of([b"other"])}
    place = repository.top.parent / "one.json"
    place.write_text(json.dumps(trace(base, [file_of("src/app.py", good, wrong)]), indent=1))
    found = take(repository, "agent-trace", str(place))
    assert [s["commit"] for s in found["sessions"]] == [repository.git("rev-parse", "HEAD")]
    assert codes(found) == {"lines-not-found"}
    assert [r[:3] for r in ranges(repository) if r[2] == "model"] == [(2, 3, "model")]


def test_the_commit_that_a_trace_works_towards_is_found_though_head_is_unborn(
    repository: Repository,
) -> None:
    (base, commit) = repository.git("rev-parse", "HEAD~1", "HEAD").split()
    repository.git("checkout", "-q", "--orphan", "fresh")
    digest = content_hash.of([LINES[0].encode()])
    good = {"start_line": 1, "end_line": 1, "content_hash": digest}
    place = repository.top.parent / "one.json"
    place.write_text(json.dumps(trace(base, [file_of("src/app.py", good)])))
    found = take(repository, "agent-trace", str(place))
    assert [one["commit"] for one in found["sessions"]] == [commit]


def test_a_transcript_of_claude_is_matched_with_the_commit_that_holds_its_lines(
    repository: Repository, tmp_path: Path
) -> None:
    top = str(repository.top)
    written = "\n".join(LINES[:3]) + "\n"
    place = claude_transcript(
        tmp_path / "4f1c.jsonl",
        [(f"{top}/src/app.py", written), (f"{top}/gone.py", "never committed\n"), ("/etc/x", "y")],
        cwd=top,
    )
    found = take(repository, "claude-transcript", str(place))
    assert [(s["agent"], s["model"], s["lines"]) for s in found["sessions"]] == [
        ("claude-code", "claude-opus-5", 3)
    ]
    assert codes(found) == {"writes-elsewhere"}
    assert ranges(repository) == [
        (1, 3, "model", "reported", None),
        (4, 5, "unknown", "reported", "not-in-the-transcript"),
    ]
    text = json.dumps(bundles(repository))
    assert "hunter2" not in text and "never committed" not in text and str(tmp_path) not in text
    assert verify(repository, "--trust", str(trusting(repository))).status == 0
    assert take(repository, "claude-transcript", str(place))["added"] == 0


def test_a_rollout_of_codex_is_matched_and_names_no_model_that_was_served(
    repository: Repository, tmp_path: Path
) -> None:
    top = str(repository.top)
    added = "\n".join("+" + line for line in LINES[:3])
    patch = f"*** Begin Patch\n*** Add File: src/app.py\n{added}\n*** End Patch"
    place = codex_rollout(tmp_path / "rollout.jsonl", patch, cwd="/elsewhere/repo")
    assert codes(take(repository, "codex-transcript", str(place))) >= {"no-writes"}
    found = take(repository, "codex-transcript", str(place), "--worktree", "/elsewhere/repo")
    assert [(s["agent"], s["model"], s["lines"]) for s in found["sessions"]] == [("codex", None, 3)]
    unknown = generations(repository)[0]["predicate"]["runDetails"]["metadata"]["agentprov_unknown"]
    assert any("gpt-5-codex" in item["claim"] for item in unknown)
    assert top not in json.dumps(bundles(repository))


def test_a_write_is_not_found_in_commits_before_it_nor_twice(
    repository: Repository, tmp_path: Path
) -> None:
    top = str(repository.top)
    before = claude_transcript(
        tmp_path / "late.jsonl", [(f"{top}/src/app.py", TEXT)], cwd=top, at="2025-03-02T00:00:00Z"
    )
    assert codes(take(repository, "claude-transcript", str(before))) == {"no-commit"}
    repository.git("rm", "-q", "src/app.py")
    commit_at(repository, "2025-03-03T00:00:00Z", "remove")
    repository.write("src/app.py", TEXT)
    commit_at(repository, "2025-03-04T00:00:00Z", "bring back")
    place = claude_transcript(tmp_path / "a.jsonl", [(f"{top}/src/app.py", TEXT)], cwd=top)
    found = take(repository, "claude-transcript", str(place))
    assert [s["commit"] for s in found["sessions"]] == [repository.git("rev-parse", "HEAD~2")]


def test_what_speaks_of_the_future_is_not_signed(repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    record = trace(head, [file_of("src/app.py", {"start_line": 1, "end_line": 1})])
    place = repository.top.parent / "one.json"
    place.write_text(json.dumps({**record, "timestamp": "2099-01-01T00:00:00Z"}))
    found = take(repository, "agent-trace", str(place))
    assert (found["added"], codes(found)) == (0, {"time-in-future"})


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--format", "word"), 2),
        (("--format", "git-ai"), 1),
        (("--format", "git-ai", "file"), 2),
        (("--format", "claude-transcript"), 2),
        (("--format", "claude-transcript", "no-such-file"), 1),
        (("--format", "agent-trace"), 1),
        (("--format", "agent-trace", "--worktree", "x"), 2),
        (("--format", "trailers", "--range", "nothing..HEAD"), 1),
    ],
)
def test_words_that_do_not_fit_and_sources_that_are_not_there_are_told(
    repository: Repository, words: tuple[str, ...], status: int
) -> None:
    answer = agentprov("import", *words, cwd=repository.top)
    assert answer.status == status, answer.err
    assert bundles(repository) == []


def test_an_import_inside_of_a_run_is_refused(repository: Repository) -> None:
    answer = agentprov(
        "import", "--format", "trailers", cwd=repository.top, env={"AGENTPROV_SESSION": "x"}
    )
    assert answer.status == 1 and "inside of a recorded run" in answer.err
    assert bundles(repository) == []


def test_a_special_file_is_no_transcript(repository: Repository, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jsonl")
    answer = agentprov(
        "import", "--format", "claude-transcript", str(tmp_path / "fifo.jsonl"), cwd=repository.top
    )
    assert answer.status == 1, answer.out


def test_odd_paths_are_imported_under_their_own_names(repository: Repository) -> None:
    names = ["a b.py", "ü.py", "say,this.py"]
    for name in names:
        repository.write(name, "one line of code\n")
    commit_at(repository, AT, "odd")
    quoted = "".join(
        f"{chr(34) + n + chr(34) if ' ' in n else n}\n  {SESSION}::t_9bda2433444ef9 1\n"
        for n in names
    )
    git_ai_note(repository, "HEAD", quoted)
    assert take(repository, "git-ai")["findings"] == []
    assert sorted(changes(generations(repository)[0])) == sorted(names)
    assert verify(repository, "--trust", str(trusting(repository))).status == 0


@pytest.mark.parametrize(
    ("sample", "format_", "agent"),
    [
        ("claude-main", "claude-transcript", "claude-code"),
        ("codex-direct", "codex-transcript", "codex"),
        ("codex-code", "codex-transcript", "codex"),
    ],
)
def test_what_real_agents_left_behind_is_found_in_the_commit(
    tmp_path: Path, sample: str, format_: str, agent: str
) -> None:
    made = Repository(tmp_path / "elsewhere")
    made.write("src/app.py", "def greet(name):\n    return f'hello, {name}!'\n# by hand\n")
    commit_at(made, "2026-11-24T19:00:00Z", "Greet")
    words = (str(SAMPLES / f"{sample}.jsonl"), "--worktree", "/sample/repo", "--json")
    # The samples' clock, whatever day it is here.
    later = {"SOURCE_DATE_EPOCH": "1796000000"}
    answer = agentprov("import", "--format", format_, *words, cwd=made.top, env=later)
    assert answer.status == 0, answer.err
    assert [(s["agent"], s["lines"]) for s in answer.json()["sessions"]] == [(agent, 2)]
    assert [r[:4] for r in ranges(made)] == [
        (1, 2, "model", "reported"),
        (3, 3, "unknown", "reported"),
    ]


def test_a_dry_run_makes_no_key_and_writes_nothing(repository: Repository, home: Path) -> None:
    refs = repository.git("for-each-ref")
    assert take(repository, "trailers", "--dry-run")["added"] == 1
    assert repository.git("for-each-ref") == refs
    assert not (home / "agentprov" / "keys").exists()


def test_two_people_who_import_one_history_make_one_record_with_two_signatures(
    repository: Repository, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        environment = {"AGENTPROV_HOME": str(tmp_path / name)}
        words = ("import", "--format", "trailers")
        assert agentprov(*words, cwd=repository.top, env=environment).status == 0
    assert len(note_lines(repository)) == 6
    payloads = [json.loads(line)["dsseEnvelope"]["payload"] for line in note_lines(repository)]
    assert len(set(payloads)) == 3


def test_a_repository_of_sha256_and_a_merge_are_imported_and_hold(tmp_path: Path) -> None:
    made = Repository(tmp_path / "r", object_format="sha256")
    made.write("a.py", "the first line\n")
    commit_at(made, "2025-01-01T00:00:00Z")
    made.git("checkout", "-qb", "side")
    made.write("b.py", "a line of the side\n")
    commit_at(made, "2025-01-02T00:00:00Z")
    made.git("checkout", "-q", "main")
    made.write("c.py", "a line of main\n")
    commit_at(made, "2025-01-03T00:00:00Z")
    made.git("merge", "-q", "--no-commit", "--no-ff", "side")
    made.write("a.py", "the first line\nadded while merging\n")
    made.commit("merge")
    key = f"{SESSION}::t_9bda2433444ef9"
    git_ai_note(made, "HEAD", f"a.py\n  {key} 2\nb.py\n  {key} 1\n")
    found = take(made, "git-ai")
    # What a parent brought is not the merge's own.
    assert (found["added"], codes(found)) == (1, {"lines-not-added"})
    assert list(changes(generations(made)[0])) == ["a.py"]
    assert verify(made, "--trust", str(trusting(made))).status == 0


def test_a_link_in_the_place_of_a_trace_file_is_not_followed(
    repository: Repository, tmp_path: Path
) -> None:
    head = repository.git("rev-parse", "HEAD")
    record = trace(head, [file_of("src/app.py", {"start_line": 1, "end_line": 1})])
    (tmp_path / "outside.jsonl").write_text(json.dumps(record))
    folder = repository.top / ".agent-trace"
    folder.mkdir()
    (folder / "traces.jsonl").symlink_to(tmp_path / "outside.jsonl")
    answer = agentprov("import", "--format", "agent-trace", cwd=repository.top)
    assert answer.status == 1, answer.out
    assert bundles(repository) == []


def test_an_import_takes_nothing_from_content_that_was_recorded_before_a_rewrite(
    tmp_path: Path,
) -> None:
    made = Repository(tmp_path / "repo")
    made.write("README.md", "x\n")
    made.commit("first")
    script = f"printf '%s' '{TEXT}' > b.py; git add b.py; git commit -qm b"
    assert agentprov("run", "--", "sh", "-c", script, cwd=made.top).status == 0
    tree, base = made.git("rev-parse", "HEAD^{tree}"), made.git("rev-parse", "HEAD~1")
    message = "b again\n\nCo-authored-by: Claude <noreply@anthropic.com>"
    other = made.git("commit-tree", "-p", base, "-m", message, tree)
    made.git("reset", "-q", "--hard", other)
    trust = trusting(made)
    before = verify(made, "--trust", str(trust)).json()
    assert take(made, "trailers")["added"] == 1
    after = verify(made, "--trust", str(trust)).json()
    assert before["commits"][0]["coverage"] != "uncovered"
    assert after["commits"] == before["commits"]
    assert codes(after) - codes(before) == {"import-set-aside", "imported-record"}


def test_notes_and_records_that_are_all_work_are_refused_in_no_time(
    repository: Repository, tmp_path: Path
) -> None:
    repository.write("big.txt", "".join(f"{number}\n" for number in range(20_000)))
    commit_at(repository, LATER, "big")
    head = repository.git("rev-parse", "HEAD")
    keys = [f"{number:016x}" for number in range(1_000)]
    entries = "big.txt\n" + "".join(f"  {key} {n + 1}\n" for n, key in enumerate(keys))
    git_ai_note(repository, head, entries)
    hashed = [
        {"start_line": 1, "end_line": 1, "content_hash": f"sha256:{number:064x}"}
        for number in range(2_000)
    ]
    (tmp_path / "one.json").write_text(json.dumps(trace(head, [file_of("big.txt", *hashed)])))
    answer = agentprov("import", "--format", "git-ai", "--json", cwd=repository.top, timeout=60)
    assert codes(answer.json()) == {"note-refused"}
    words = ("--format", "agent-trace", str(tmp_path / "one.json"), "--json")
    answer = agentprov("import", *words, cwd=repository.top, timeout=60)
    assert codes(answer.json()) == {"record-refused"}
    assert bundles(repository) == []


def test_git_is_asked_once_about_a_commit_that_many_records_speak_of(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "many.jsonl"
    place.write_text(many_traces(repository, 30))
    events = tmp_path / "events"
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(events))
    assert len(take(repository, "agent-trace", str(place), "--dry-run")["sessions"]) == 30
    started = [json.loads(line) for line in events.read_text().splitlines()]
    argv = [event["argv"] for event in started if event["event"] == "start"]
    assert sum("patch-id" in words for words in argv) == 1
    assert len(argv) < 30


def test_what_an_import_has_stored_is_not_verified_again_with_every_batch(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "many.jsonl"
    place.write_text(many_traces(repository, 6))
    wanted = Wanted("agent-trace", (place,))
    looked: list[list[bytes]] = []
    own = import_records._own

    def counted(world: World, lines: Iterable[bytes]) -> set[str]:
        looked.append(list(lines))
        return own(world, looked[-1])

    monkeypatch.setattr(import_records, "_own", counted)
    monkeypatch.setattr(import_records, "TOGETHER", 2)
    world = World.here(repository.top)
    assert import_records.take(world, wanted).added == 6
    assert looked == [[]]
    assert import_records.take(world, wanted).added == 0
    assert len(looked) == 2


def many_traces(repository: Repository, count: int) -> str:
    """Give records of one line each, all about HEAD and no two alike."""
    head = repository.git("rev-parse", "HEAD")
    one = {"start_line": 1, "end_line": 1}
    records = [trace(head, [file_of("src/app.py", one, model=f"m/{n}")]) for n in range(count)]
    return "".join(json.dumps(record) + "\n" for record in records)
