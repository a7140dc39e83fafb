"""blame, trace, query and stats over a real repository: what wrote which line, and how surely."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentprov.cli import execute
from support.command_line import bundles
from support.repository import Repository
from support.scripted_work import Workshop, workshop

SONNET = "claude-sonnet-4-20250514"
OPUS = "claude-opus-4-1-20250805"
TOWER = "def tower():\n    return 'stone'\n"
LAMP = "def lamp():\n    return 'light'\n\n\ndef dark():\n    return 'none'\n"


def told(shop: Workshop, *arguments: str) -> Any:
    verb, *rest = arguments
    return shop.does(verb, "--json", *rest).json()


def here(
    shop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *words: str,
) -> tuple[int, str]:
    """Run a command in this process, which spares its start."""
    monkeypatch.chdir(shop.repository.top)
    monkeypatch.setenv("AGENTPROV_HOME", str(shop.home))
    status = execute(words)
    return status, capsys.readouterr().out


def places(found: list[dict[str, Any]]) -> set[tuple[str, int, int]]:
    return {(item["path"], item["start"], item["end"]) for item in found}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Two models wrote; a person changed one line, renamed a file, and added one of their own."""
    shop = workshop(tmp_path_factory.mktemp("asking"))
    git = shop.repository
    shop.work({"tower.py": TOWER, "lamp.py": LAMP}, plan="PLAN.md", silent={"made.txt": "who\n"})
    shop.work({"door.py": "def door():\n    return 'oak'\n"}, model=OPUS)
    git.write("lamp.py", LAMP.replace("'light'", "'bright light'"))
    git.git("mv", "tower.py", "keep.py")
    git.write("own.py", "mine = 1\n")
    git.commit("By hand")
    return shop


def test_blame_names_person_agent_model_and_plan_of_each_line(story: Workshop) -> None:
    found = told(story, "blame", "lamp.py")
    ranges = {(item["start"], item["end"]): item for item in found["ranges"]}
    assert set(ranges) == {(1, 1), (2, 2), (3, 6)}
    first, second = ranges[1, 1], ranges[2, 2]
    assert (first["origin"], first["basis"]) == ("model", "reported")
    assert first["model"] == f"anthropic/{SONNET}"
    assert (first["plan"], first["author"]) == ("PLAN.md", "Ada <ada@example.com>")
    assert "scripted-agent" in first["agent"]
    # The hand's commit touched a path of the session, after it: nothing says whose the line is.
    assert second["origin"] == "unknown"
    assert second["commit"] == story.repository.git("rev-parse", "HEAD")


def test_blame_follows_renames_and_takes_gits_ways_to_choose_lines(story: Workshop) -> None:
    git = story.repository
    renamed = told(story, "blame", "keep.py")["ranges"]
    assert [(r["start"], r["end"], r["sourcePath"], r["origin"]) for r in renamed] == [
        (1, 2, "tower.py", "model")
    ]
    for words, lines in (
        (("-L", "2,3"), [2, 3]),
        (("-L", "5,+2"), [5, 6]),
        (("-L", "/dark/,+1"), [5]),
        (("-L", ":dark"), [5, 6]),
        (("-L", "1,1", "-L", "6,6"), [1, 6]),
    ):
        found = told(story, "blame", *words, "lamp.py")["ranges"]
        numbers = [n for item in found for n in range(item["start"], item["end"] + 1)]
        assert numbers == lines, words
    head = git.git("rev-parse", "HEAD")
    past = told(story, "blame", "--ignore-rev", head, "lamp.py")["ranges"]
    assert {item["origin"] for item in past} == {"model"}
    assert [item["why"] for item in past if item["start"] == 2] == ["not-these-bytes"]
    older = told(story, "blame", "HEAD~1", "--", "lamp.py")["ranges"]
    assert [(item["start"], item["end"]) for item in older] == [(1, 6)]
    since = told(story, "blame", "HEAD~1..HEAD", "--", "lamp.py")["ranges"]
    assert [item["why"] for item in since if item["start"] == 2] == [
        item["why"] for item in told(story, "blame", "-L2,2", "lamp.py")["ranges"]
    ]
    gone = told(story, "blame", "--reverse", "HEAD~1..HEAD", "--", "lamp.py")["ranges"]
    last = {item["start"]: item["lastCommit"] for item in gone}
    assert last[2] == git.git("rev-parse", "HEAD~1")
    assert {item["origin"] for item in gone} == {"model"}
    assert told(story, "blame", "-w", "-M20", "-C", "-C40", "--first-parent", "lamp.py")["ranges"]


def test_blame_of_what_is_not_committed_and_of_what_is_not_there(story: Workshop) -> None:
    git = story.repository
    git.write("own.py", "mine = 1\nnew = 2\n")
    try:
        found = told(story, "blame", "own.py")["ranges"]
        assert [(item["why"], item["commit"] is None) for item in found] == [
            ("no-record", False),
            ("not-committed", True),
        ]
        assert told(story, "trace", "own.py:2")["steps"] == []
    finally:
        git.git("checkout", "-q", "own.py")
    for words in (("none.py",), ("-L", "900,901", "lamp.py"), ("NONE", "--", "lamp.py")):
        answer = story.say("blame", *words)
        assert (answer.status, answer.out) == (1, ""), words
        assert "unexpected" not in answer.err
    assert story.say("blame", "--upload-pack=x", "lamp.py").status == 2
    assert story.say("blame", "--", "--output=x", "lamp.py").status == 1


def test_blame_from_a_folder_below_means_the_file_there(story: Workshop, tmp_path: Path) -> None:
    folder = story.repository.top / "deep"
    folder.mkdir(exist_ok=True)
    answer = story.does("-C", str(folder), "blame", "-C", "../lamp.py", "--json")
    assert answer.json()["path"] == "lamp.py"
    assert story.say("-C", str(folder), "blame", "lamp.py").status == 1


def test_blame_porcelain_is_gits_with_our_headers(story: Workshop) -> None:
    lines = story.does("blame", "--porcelain", "lamp.py").out.splitlines()
    plain = story.repository.git("blame", "--porcelain", "lamp.py").splitlines()
    assert [line for line in lines if not line.startswith("agentprov-")] == plain
    assert lines.count("agentprov-origin model") == 5
    assert f"agentprov-model anthropic/{SONNET}" in lines


def test_trace_tells_from_plan_to_commit(story: Workshop) -> None:
    found = told(story, "trace", "keep.py:2")
    kinds = [step["kind"] for step in found["steps"]]
    assert kinds == ["plan", "session", "exchange", "edit", "commit"]
    steps = {step["kind"]: step for step in found["steps"]}
    assert "a beam of light" in steps["plan"]["text"]
    assert steps["exchange"]["by"] == f"anthropic/{SONNET}"
    assert "11 tokens in" in steps["exchange"]["text"]
    assert steps["commit"]["digest"]["gitCommit"] == story.repository.git("rev-parse", "HEAD~2")
    assert all(step["basis"] for step in found["steps"])
    text = story.does("trace", "keep.py:2").out
    assert "plan" in text and SONNET in text


def test_trace_ends_with_the_approval(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    commit = shop.work({"a.py": TOWER}, plan="PLAN.md")
    shop.does("approve", "HEAD~1..HEAD", "--yes")
    steps = told(shop, "trace", "a.py:1")["steps"]
    assert [step["kind"] for step in steps][-2:] == ["commit", "approval"]
    assert steps[-1]["text"] == "approved"
    hits = told(shop, "query", "--reviewer", "ada@")
    assert {item["commit"] for item in hits["certain"]} == {commit}
    assert told(shop, "query", "--reviewer", "jane")["certain"] == []


def test_query_finds_what_stands_of_a_model_under_its_new_name(story: Workshop) -> None:
    found = told(story, "query", "--model", "claude-sonnet-4")
    assert places(found["certain"]) == {("lamp.py", 1, 1), ("lamp.py", 3, 6), ("keep.py", 1, 2)}
    assert found["totals"]["certain"] == {
        "lines": 7, "files": 2, "commits": 1, "sessions": 1, "plans": 1, "repositories": 1,
    }  # fmt: skip
    assert {item["plan"] for item in found["certain"]} == {"PLAN.md"}
    # Of the file that nobody reported, and of the hand's line in the session's file.
    assert ("made.txt", 1, 1) in places(found["possible"])
    assert ("own.py", 1, 1) not in places(found["possible"])
    ever = told(story, "query", "--model", "claude-sonnet-4", "--history")
    assert places(ever["certain"]) == {("lamp.py", 1, 6), ("tower.py", 1, 2)}


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (("--model", "claude-opus-4-1"), {"door.py"}),
        (("--model", f"anthropic/{OPUS}"), {"door.py"}),
        (("--model", f"openai/{OPUS}"), set()),
        (("--model", "claude-opus-4"), set()),
        (("--model", "claude-opus>=4,<5"), {"door.py"}),
        (("--model", "anthropic/claude-*"), {"door.py", "lamp.py", "keep.py"}),
        (("--model", "claude-opus", "--model", "claude-sonnet"), {"door.py", "lamp.py", "keep.py"}),
        (("--model", "claude-opus", "--path", "l*.py"), set()),
        (("--plan", "PLAN.md"), {"lamp.py", "keep.py"}),
        (("--plan", "beam light"), {"lamp.py", "keep.py"}),
        (("--plan", "lighthouse"), {"lamp.py", "keep.py"}),
        (("--plan", "submarine"), set()),
        (("--agent", "scripted-agent"), {"door.py", "lamp.py", "keep.py"}),
        (("--agent", "claude-code"), set()),
        (("--author", "ADA@example"), {"door.py", "lamp.py", "keep.py"}),
        (("--author", "jane"), set()),
        (("--path", "keep.py"), {"keep.py"}),
        (("--since", "2100-01-01"), set()),
        (("--until", "2100-01-01"), {"door.py", "lamp.py", "keep.py"}),
        (("--origin", "unknown", "--path", "made.txt"), {"made.txt"}),
        (("--host", "api.anthropic.com"), set()),
        (("--mcp-server", "none"), set()),
        (("--instruction", "00" * 32), set()),
        (("--at", "HEAD~1", "--model", "claude-sonnet-4"), {"lamp.py", "tower.py"}),
    ],
)
def test_query_chooses(
    story: Workshop,
    words: tuple[str, ...],
    files: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out = here(story, monkeypatch, capsys, "query", "--json", *words)
    assert status == 0
    assert {item["path"] for item in json.loads(out)["certain"]} == files


def test_query_by_digest_and_session(story: Workshop) -> None:
    (sonnet, *_) = told(story, "query", "--model", "claude-sonnet-4")["certain"]
    same = told(story, "query", "--session", sonnet["session"])["certain"]
    assert {item["path"] for item in same} == {"lamp.py", "keep.py"}
    by_plan = told(story, "query", "--plan", "sha256:" + sonnet["planDigest"]["sha256"][:12])
    assert by_plan["certain"] == told(story, "query", "--plan", "PLAN.md")["certain"]
    shown = told(story, "show", "HEAD~1")["sessions"][0]
    digest = shown["agent"]["digest"]["sha256"]
    assert told(story, "query", "--agent-digest", digest)["totals"]["certain"]["files"] == 3
    for item in shown["instructions"]:
        assert told(story, "query", "--instruction", item["digest"]["sha256"])["certain"]


@pytest.mark.parametrize(
    "words",
    [
        ("--model", "claude>=four"), ("--since", "soon"), ("--origin", "elf"), ("--path", "a[b"),
        ("--agent-digest", "xyz"), ("--format", "csv", "--json"), ("--plan", "!?"),
    ],
)  # fmt: skip
def test_query_refuses_words_without_meaning(
    story: Workshop,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert here(story, monkeypatch, capsys, "query", *words) == (2, "")


def test_query_as_csv_and_sarif(story: Workshop) -> None:
    rows = list(
        csv.DictReader(
            io.StringIO(story.does("query", "--model", "claude-sonnet-4", "--format", "csv").out)
        )
    )
    certain = [row for row in rows if row["certainty"] == "certain"]
    assert {(row["path"], row["lines"]) for row in certain} == {
        ("keep.py", "2"), ("lamp.py", "1"), ("lamp.py", "4"),
    }  # fmt: skip
    sarif = story.does("query", "--model", "claude-sonnet-4", "--format", "sarif").json()
    (run,) = sarif["runs"]
    levels = {result["level"] for result in run["results"]}
    assert levels == {"warning", "note"}
    provenance = run["versionControlProvenance"][0]
    assert provenance["revisionId"] == story.repository.git("rev-parse", "HEAD")
    where = [
        (
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            result["locations"][0]["physicalLocation"].get("region", {}).get("startLine"),
        )
        for result in run["results"]
        if result["level"] == "warning"
    ]
    assert sorted(where) == [("keep.py", 1), ("lamp.py", 1), ("lamp.py", 3)]


def test_stats_count_lines_and_say_what_is_unknown(story: Workshop) -> None:
    (found,) = told(story, "stats")["repositories"]
    assert found["origins"]["model"] == 9
    assert found["models"] == {f"anthropic/{SONNET}": 7, f"anthropic/{OPUS}": 2}
    assert 0 < found["unknown"]["share"] < 1
    assert sum(found["unknown"]["why"].values()) == found["origins"]["unknown"]
    assert found["coverage"]["commits"] == 4
    assert "unknown" in story.does("stats").out


def test_all_history_has_the_commits_of_every_detached_head(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    git = shop.repository
    git.git("worktree", "add", "-q", "--detach", str(tmp_path / "beside"))
    git.git("checkout", "-q", "--detach")
    shop.work({"a.py": TOWER})
    beside = Workshop(Repository(tmp_path / "beside"), shop.home, shop.agent)
    beside.work({"b.py": LAMP})
    for one in (shop, beside):
        (found,) = told(one, "stats", "--history")["repositories"]
        assert found["lines"] == 8
        assert found["coverage"] == {
            "commits": 3, "covered": 2, "human": 0, "uncovered": 0, "unrecorded": 1
        }  # fmt: skip


def test_blame_and_query_say_the_same_of_every_line(story: Workshop) -> None:
    by_query = {
        (item["path"], line)
        for item in told(story, "query", "--model", "claude-sonnet-4")["certain"]
        for line in range(item["start"], item["end"] + 1)
    }
    by_blame = {
        (name, line)
        for name in story.repository.git("ls-files").split()
        for item in told(story, "blame", name)["ranges"]
        if item["model"] == f"anthropic/{SONNET}"
        for line in range(item["start"], item["end"] + 1)
    }
    assert by_query == by_blame


def test_what_the_user_ignores_in_blame_is_not_ignored_in_an_incident(story: Workshop) -> None:
    git = story.repository
    before = told(story, "query", "--model", "claude-sonnet-4")["certain"]
    ignored = story.home / "ignored"
    ignored.write_text(git.git("rev-parse", "HEAD") + "\n")
    git.git("config", "blame.ignoreRevsFile", str(ignored))
    try:
        after = told(story, "query", "--rebuild", "--model", "claude-sonnet-4")["certain"]
        assert after == before
        blamed = told(story, "blame", "-L2,2", "lamp.py")["ranges"]
        assert [item["why"] for item in blamed] == ["not-these-bytes"]
    finally:
        git.git("config", "--unset", "blame.ignoreRevsFile")


def index_of(shop: Workshop) -> Path:
    return shop.home / "cache" / "index.sqlite"


def test_new_records_are_taken_in_without_judging_the_old_again(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    shop.work({"a.py": TOWER})
    assert told(shop, "query", "--model", "claude-sonnet")["totals"]["certain"]["lines"] == 2
    database = sqlite3.connect(index_of(shop))
    judged = database.execute("SELECT max(judging) FROM generation").fetchone()
    shop.work({"b.py": LAMP})
    assert told(shop, "query", "--model", "claude-sonnet")["totals"]["certain"]["lines"] == 8
    first, second = database.execute("SELECT judging FROM generation ORDER BY id").fetchall()
    assert first == judged
    assert second != judged


def test_a_record_that_is_taken_away_takes_its_lines_away(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    shop.work({"a.py": TOWER})
    assert told(shop, "query", "--model", "claude-sonnet")["totals"]["certain"]["lines"] == 2
    shop.repository.git("notes", "--ref=agentprov", "remove", "HEAD")
    found = told(shop, "query", "--model", "claude-sonnet")
    assert found["certain"] == found["possible"] == []


def test_a_key_that_is_no_longer_trusted_leaves_only_what_is_possible(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    shop.work({"a.py": TOWER})
    trust = tmp_path / "trust.yaml"
    trust.write_bytes((shop.repository.top / ".agentprov" / "trust.yaml").read_bytes())
    asked = ("query", "--model", "claude-sonnet", "--trust", str(trust))
    assert told(shop, *asked)["totals"]["certain"]["lines"] == 2
    trust.write_text(trust.read_text().replace("recorder", "ci"))
    trust.write_text("\n".join(
        line for line in trust.read_text().splitlines() if "builders/" not in line
        and "builders:" not in line
    ))  # fmt: skip
    found = told(shop, *asked)
    assert found["certain"] == []
    assert {(item["path"], item["lines"]) for item in found["possible"]} == {("a.py", 2)}
    assert found["possible"][0]["why"]
    blamed = told(shop, "blame", "--trust", str(trust), "a.py")["ranges"]
    assert [(item["origin"], item["why"]) for item in blamed] == [("unknown", "not-verified")]


@pytest.mark.parametrize(
    "how", ["cut", "overwritten", "another version", "empty", "pages", "first page", "no page"]
)
def test_a_damaged_index_is_made_again_and_not_believed(tmp_path: Path, how: str) -> None:
    shop = workshop(tmp_path)
    shop.work({"a.py": TOWER})
    asked = ("query", "--model", "claude-sonnet")
    before = told(shop, *asked)
    place = index_of(shop)
    with sqlite3.connect(place) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if how == "another version":
            database.execute("UPDATE meta SET value = '0' WHERE key = 'version'")
            database.execute("UPDATE line SET origin = 'human'")
    database.close()
    data = place.read_bytes()
    if how == "cut":
        place.write_bytes(data[: len(data) // 2])
    elif how == "overwritten":
        place.write_bytes(data[:100] + b"\xff" * (len(data) - 100))
    elif how == "pages":
        place.write_bytes(data[:4096] + b"\x00" * (len(data) - 4096))
    elif how == "first page":
        place.write_bytes(b"\x00" * 4096 + data[4096:])
    elif how == "no page":
        place.write_bytes(b"\xff" * 10)
    elif how == "empty":
        place.write_bytes(b"")
    if how == "first page":
        assert {item["origin"] for item in told(shop, "blame", "a.py")["ranges"]} == {"model"}
    after = told(shop, *asked)
    assert after["certain"] == before["certain"]


def test_an_index_that_others_can_write_or_that_is_none_is_refused(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    place = tmp_path / "shared.sqlite"
    assert shop.say("query", "--model", "x", "--index", str(place)).status == 0
    os.chmod(place, 0o666)
    answer = shop.say("query", "--model", "x", "--index", str(place))
    assert (answer.status, "others can write" in answer.err) == (1, True)
    other = tmp_path / "diary.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE diary(day)")
    database.close()
    os.chmod(other, 0o600)
    kept = other.read_bytes()
    assert shop.say("query", "--model", "x", "--index", str(other)).status == 1
    assert other.read_bytes() == kept
    named = tmp_path / "named.sqlite"
    named.write_bytes(b"\x00" * 4096)
    os.chmod(named, 0o600)
    answer = shop.say("query", "--rebuild", "--model", "x", "--index", str(named))
    assert (answer.status, "is no index" in answer.err) == (1, True)
    assert named.read_bytes() == b"\x00" * 4096


def test_a_copy_of_a_record_on_another_commit_speaks_for_no_line_there(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    shop.work({"a.py": TOWER})
    git = shop.repository
    lines = git.git("notes", "--ref=agentprov", "show", "HEAD")
    git.write("b.py", TOWER)
    git.commit("By hand")
    git.git("notes", "--ref=agentprov", "add", "-f", "-m", lines, "HEAD")
    assert len(bundles(git)) >= 2
    found = told(shop, "query", "--model", "claude-sonnet")
    assert {item["path"] for item in found["certain"] + found["possible"]} == {"a.py"}
    assert json.dumps(told(shop, "blame", "b.py")).count('"no-record"') == 1


def test_lines_keep_their_model_through_an_amend_and_a_squash_that_nobody_saw(
    tmp_path: Path,
) -> None:
    shop = workshop(tmp_path)
    git = shop.repository
    shop.work({"a.py": TOWER}, plan="PLAN.md")
    git.git("commit", "-q", "--amend", "-m", "Better words")
    assert told(shop, "query", "--model", "claude-sonnet")["totals"]["certain"]["lines"] == 2
    assert {item["model"] for item in told(shop, "blame", "a.py")["ranges"]} == {
        f"anthropic/{SONNET}"
    }
    main = git.git("rev-parse", "--abbrev-ref", "HEAD")
    git.git("checkout", "-q", "-b", "feature")
    shop.work({"b.py": LAMP}, plan="PLAN.md")
    git.git("checkout", "-q", main)
    # As a forge does it: another commit, by git's plumbing alone.
    tree = git.git("rev-parse", "feature^{tree}")
    squashed = git.git("commit-tree", "-p", "HEAD", "-m", "Squashed", tree)
    git.git("reset", "-q", "--hard", squashed)
    git.git("branch", "-qD", "feature")
    found = told(shop, "query", "--model", "claude-sonnet")
    assert places(found["certain"]) == {("a.py", 1, 2), ("b.py", 1, 6)}
    (range_,) = told(shop, "blame", "b.py")["ranges"]
    assert (range_["origin"], range_["commit"]) == ("model", squashed)
    assert range_["rewrite"]
    traced = told(shop, "trace", "b.py:1")["steps"]
    assert "rewrite" in {step["kind"] for step in traced}
    assert traced[0]["kind"] == "plan"


def models_at(shop: Workshop, path: str) -> dict[str, str]:
    """Give, by line, what query says of a file, once it says the same as blame."""
    asked = {
        str(line): item["model"]
        for item in told(shop, "query", "--origin", "model")["certain"]
        if item["path"] == path
        for line in range(item["start"], item["end"] + 1)
    }
    blamed = {
        str(line): item["model"]
        for item in told(shop, "blame", path)["ranges"]
        if item["origin"] == "model"
        for line in range(item["start"], item["end"] + 1)
    }
    assert asked == blamed
    return asked


def test_bytes_that_come_back_are_of_who_brought_them_back(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    git = shop.repository
    shop.work({"a.py": LAMP, "b.py": TOWER})
    assert set(models_at(shop, "a.py").values()) == {f"anthropic/{SONNET}"}
    main = git.git("rev-parse", "--abbrev-ref", "HEAD")
    git.git("checkout", "-q", "-b", "before")
    git.write("own.py", "mine = 1\n")
    git.commit("By hand")
    git.git("checkout", "-q", main)
    git.git("rm", "-q", "a.py")
    git.git("commit", "-qm", "Drop it")
    shop.work({"a.py": LAMP}, model=OPUS)
    assert set(models_at(shop, "a.py").values()) == {f"anthropic/{OPUS}"}
    assert set(models_at(shop, "b.py").values()) == {f"anthropic/{SONNET}"}
    # Blame follows the first parent that has the same bytes: the branch, which has the old ones.
    git.git("checkout", "-q", "before")
    git.git("merge", "-q", "--no-edit", main)
    assert set(models_at(shop, "a.py").values()) == {f"anthropic/{SONNET}"}
    git.git("checkout", "-q", main)
    git.write("a.py", "".join(LAMP.splitlines(keepends=True)[:4]))
    git.commit("Shorter")
    git.git("revert", "--no-edit", "HEAD")
    assert set(models_at(shop, "a.py")) == {"1", "2", "3", "4"}


def test_many_may_ask_at_once_before_there_is_an_index(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    shop.work({"a.py": TOWER})
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(told, shop, "query", "--model", "claude-sonnet") for _ in range(4)]
        answers = [one.result()["certain"] for one in asked]
    assert [len(answer) for answer in answers] == [1, 1, 1, 1]


def test_where_nothing_can_be_written_the_index_is_made_in_memory(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    shop.work({"a.py": TOWER})
    (shop.home / "cache").write_text("a file where the folder would be")
    answer = shop.does("query", "--model", "claude-sonnet", "--json")
    assert answer.json()["totals"]["certain"]["lines"] == 2
    assert "in memory" in answer.err
    assert {item["origin"] for item in told(shop, "blame", "a.py")["ranges"]} == {"model"}


def test_what_a_clone_lacks_is_counted_and_found_once_it_is_there(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    shop.work({"a.py": TOWER})
    git = shop.repository
    origin = f"file://{git.top}"
    git.git("clone", "-q", "--depth", "1", origin, str(tmp_path / "shallow"))
    clone = Workshop(Repository(tmp_path / "shallow"), shop.home, shop.agent)
    clone.repository.git("fetch", "-q", "origin", "refs/notes/agentprov:refs/notes/agentprov")
    asked = ("query", "--model", "claude-sonnet", "--trust", str(git.top / ".agentprov/trust.yaml"))
    found = told(clone, *asked)
    assert found["certain"] == []
    assert found["repositories"][0]["commitsNotHere"] == 1
    assert "could not be looked at" in clone.does(*asked).out
    clone.repository.git("fetch", "-q", "--unshallow", "origin")
    found = told(clone, *asked)
    assert found["totals"]["certain"]["lines"] == 2
    assert found["repositories"][0]["commitsNotHere"] == 0


def test_what_a_forge_squashed_is_found_in_a_fresh_clone(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    git = shop.repository
    git.commit("What init made")
    base = git.git("rev-parse", "HEAD")
    git.write("own.py", "mine = 1\n")
    git.commit("By hand")
    shop.work({"a.py": TOWER})
    tree = git.git("rev-parse", "HEAD^{tree}")
    squashed = git.git("commit-tree", "-p", base, "-m", "Squashed", tree)
    git.git("reset", "-q", "--hard", squashed)
    # By the protocol, which brings only what the branch leads to.
    git.git("clone", "-q", f"file://{git.top}", str(tmp_path / "fresh"))
    clone = Workshop(Repository(tmp_path / "fresh"), shop.home, shop.agent)
    clone.repository.git("fetch", "-q", "origin", "refs/notes/agentprov:refs/notes/agentprov")
    found = told(clone, "query", "--model", "claude-sonnet")
    assert places(found["certain"]) == {("a.py", 1, 2)}
    assert found["certain"][0]["commit"] == squashed
    assert found["repositories"][0]["commitsNotHere"] == 1
    assert len(models_at(clone, "a.py")) == 2
    # Also once a recorded commit is there.
    clone.work({"b.py": LAMP}, model=OPUS)
    found = told(clone, "query", "--origin", "model")
    assert places(found["certain"]) == {("a.py", 1, 2), ("b.py", 1, 6)}


def test_a_clone_that_is_made_whole_is_looked_at_anew(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    git = shop.repository
    shop.work({"a.py": TOWER})
    git.write("own.py", "mine = 1\n")
    git.commit("By hand")
    git.git("clone", "-q", "--depth", "1", f"file://{git.top}", str(tmp_path / "shallow"))
    clone = Workshop(Repository(tmp_path / "shallow"), shop.home, shop.agent)
    clone.repository.git("fetch", "-q", "origin", "refs/notes/agentprov:refs/notes/agentprov")
    asked = ("query", "--model", "claude-sonnet", "--trust", str(git.top / ".agentprov/trust.yaml"))
    for depth in ("--depth=1", "--deepen=1", "--unshallow"):
        clone.repository.git("fetch", "-q", depth, "origin")
        found = told(clone, *asked)
        assert places(found["certain"]) == ({("a.py", 1, 2)} if depth == "--unshallow" else set())
        assert found["repositories"][0]["commitsNotHere"] == (depth != "--unshallow")


def test_show_tells_of_the_plan_behind_lines_in_a_commit_that_stays_uncovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = workshop(tmp_path)
    monkeypatch.setenv("AGENTPROV_HOME", str(shop.home))  # for the hooks that git starts
    git = shop.repository
    git.commit("What init made")
    base = git.git("rev-parse", "HEAD")
    shop.work({"tower.py": TOWER}, plan="PLAN.md")
    shop.work({"lamp.py": LAMP}, model=OPUS)
    git.git("reset", "-q", "--soft", base)
    git.write("own.py", "mine = 1\n")
    git.git("add", "own.py")
    git.git("commit", "-qm", "Squashed, with something of my own")
    text = shop.does("show", "HEAD").out
    found = told(shop, "show", "HEAD")
    assert found["coverage"] == "uncovered"
    signers = [one["plan"] and one["plan"]["signer"] for one in found["sessions"]]
    assert sorted(signers, key=str) == [None, "ada@example.com"]
    assert "plan    PLAN.md, signed by ada@example.com at" in text
    git.git("rm", "-q", "--cached", "own.py")
    git.git("commit", "-q", "--amend", "-m", "Squashed alone")
    assert told(shop, "show", "HEAD")["coverage"] == "covered"
