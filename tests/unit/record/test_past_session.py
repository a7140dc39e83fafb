"""A transcript's writes in commits: by path, by time, once, and with nothing of its text kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.errors import UserError
from agentprov.record import past_session
from agentprov.system.git import Git
from support.foreign import AT, LATER, claude_transcript, commit_at
from support.repository import Repository

FIRST = "def first():\n    return 'the first one'\n"
SECOND = "def second():\n    return 'the second one'\n"


def test_places_become_git_paths_by_their_text_alone(tmp_path: Path) -> None:
    writes = [
        ("/srv/app/src/a.py", "text of one line\n"),
        ("/srv/app/../secret", "text of one line\n"),
        ("/srv/app/.git/hooks/x", "text of one line\n"),
        ("/srv/application/b.py", "text of one line\n"),
        ("c.py", "text of one line\n"),
    ]
    place = claude_transcript(tmp_path / "t.jsonl", writes, cwd="/srv/app")
    found = past_session.read(place, "claude-transcript", ["/srv/app/"])
    assert sorted(found.writes) == [b"c.py", b"src/a.py"]
    assert found.elsewhere == 3
    assert (found.agent, [use.served for use in found.models]) == ("claude-code", ["claude-opus-5"])


def test_the_subagents_beside_a_transcript_are_sources_too(tmp_path: Path) -> None:
    place = claude_transcript(tmp_path / "t.jsonl", [("/w/a.py", FIRST)], cwd="/w")
    claude_transcript(tmp_path / "t" / "subagents" / "agent-1.jsonl", [], cwd="/w")
    found = past_session.read(place, "claude-transcript", ["/w"])
    assert len(found.sources) == 2 and found.sources[0] != found.sources[1]


def test_one_write_is_split_over_two_commits_and_found_once_in_each(tmp_path: Path) -> None:
    made = Repository(tmp_path / "r")
    made.write("a.py", "# a file\n")
    commit_at(made, "2025-01-01T00:00:00Z")
    place = claude_transcript(
        tmp_path / "t.jsonl", [(f"{made.top}/a.py", f"# a file\n{FIRST}{SECOND}")], cwd="/"
    )
    made.write("a.py", f"# a file\n{FIRST}")
    one = commit_at(made, LATER)
    made.write("a.py", f"# a file\n{FIRST}{SECOND}")
    two = commit_at(made, LATER)
    made.write("a.py", f"# a file\n{FIRST}{SECOND}{FIRST}")
    three = commit_at(made, LATER)
    session = past_session.read(place, "claude-transcript", [str(made.top)])
    git = Git.discover(made.top)
    with git.cat_file() as reader:
        matcher = past_session.Matcher(git, reader, session)
        found = {oid: matcher.bind(oid) for oid in (one, two, three)}
    assert found[three] is None
    for oid, span in ((one, (2, 3)), (two, (4, 5))):
        commit = found[oid]
        assert commit is not None
        (change,) = commit.changes
        assert [(r.start, r.end, r.origin, r.basis) for r in change.ranges] == [
            (*span, "model", "reported")
        ]


def test_a_transcript_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = claude_transcript(tmp_path / "t.jsonl", [("/w/a.py", FIRST)], cwd="/w", at=AT)
    real = past_session.Transcript.read

    def read(self: past_session.Transcript, path: Path) -> None:
        real(self, path)
        path.write_bytes(path.read_bytes() + b"{}\n")

    monkeypatch.setattr(past_session.Transcript, "read", read)
    with pytest.raises(UserError, match="changed while"):
        past_session.read(place, "claude-transcript", ["/w"])
