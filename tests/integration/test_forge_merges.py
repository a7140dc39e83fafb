"""A forge squashes and rebases where no hook of ours runs; a clone with the old commits sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.command_line import agentprov
from support.repository import Repository
from support.rewrite_stories import Record, Story


def _squash(forge: Repository) -> None:
    forge.git("merge", "-q", "--squash", "origin/feature")
    forge.git("commit", "-q", "-m", "feature (#1)")


def _rebase(forge: Repository) -> None:
    forge.git("checkout", "-q", "-b", "rebased", "origin/feature")
    forge.git("-c", "user.name=Forge", "rebase", "-q", "--force-rebase", "main")
    forge.git("checkout", "-q", "main")
    forge.git("merge", "-q", "--ff-only", "rebased")


@pytest.mark.parametrize("merge", [_squash, _rebase])
def test_sync_links_what_a_forge_merged(
    merge: Callable[[Repository], None], tmp_path: Path
) -> None:
    story = Story(tmp_path / "mine", 7)
    for name in ("a.txt", "b.txt", "c.txt"):
        story.put(name, story.block("person", 8, 12))
    story.commit("base")
    bare = tmp_path / "bare.git"
    story.git("init", "-q", "--bare", "-b", "main", str(bare))
    story.git("remote", "add", "origin", str(bare))
    story.git("push", "-q", "origin", "main")
    story.git("checkout", "-q", "-b", "feature")
    story.session("a.txt", "b.txt", commits=2)
    story.session("new.txt")
    story.git("push", "-q", "origin", "feature")
    assert agentprov("sync", cwd=story.top).status == 0

    story.repository.git("clone", "-q", str(bare), str(tmp_path / "forge"))
    forge = Repository(tmp_path / "forge")
    assert not (forge.top / ".git/refs/notes").exists()
    forge.write("c.txt", (forge.top / "c.txt").read_text() + "meanwhile\n")
    forge.commit("meanwhile")
    merge(forge)
    forge.git("push", "-q", "origin", "main", ":feature")

    story.git("fetch", "-q", "--prune")
    assert agentprov("sync", cwd=story.top).status == 0
    tally = story.check("origin/main")
    assert (tally.wrong, tally.unknown["no record"]) == ([], 0)
    assert tally.right >= 20
    again = dict(Record(story.repository).rewrites)
    assert {link["method"] for links in again.values() for link in links} == {"content"}
    assert agentprov("sync", cwd=story.top).status == 0
    assert Record(story.repository).rewrites == again


_CHECKED = "def f(user):\n    check(user)\n    do()\n    more()\n"
_ADDED = "    something_else(with, arguments)\n    and_another_thing(with, arguments)\n"


@pytest.mark.parametrize("word", ["", "\n\n(cherry picked from commit {old})\n"])
def test_a_fetched_commit_is_not_covered_for_its_looks_or_its_message(
    word: str, tmp_path: Path
) -> None:
    """Somebody without a key puts recorded lines into a commit that takes out a check."""
    mine = Repository(tmp_path / "mine")
    mine.git("branch", "-M", "main")
    mine.write("a.py", _CHECKED)
    mine.commit("base")
    bare = tmp_path / "bare.git"
    mine.git("init", "-q", "--bare", "-b", "main", str(bare))
    mine.git("remote", "add", "origin", str(bare))
    mine.git("push", "-q", "-u", "origin", "main")
    assert agentprov("init", cwd=mine.top).status == 0
    mine.git("checkout", "-q", "-b", "topic")
    script = f"printf '%s' '{_ADDED}' >> a.py; git commit -qam one"
    assert agentprov("run", "--", "sh", "-c", script, cwd=mine.top).status == 0
    old = mine.git("rev-parse", "HEAD")
    mine.git("checkout", "-q", "main")
    assert agentprov("sync", cwd=mine.top).status == 0

    mine.git("clone", "-q", str(bare), str(tmp_path / "other"))
    other = Repository(tmp_path / "other")
    other.write("a.py", _CHECKED.replace("    check(user)\n", "") + _ADDED)
    new = other.commit("by somebody else" + word.format(old=old))
    other.git("push", "-q", "origin", "HEAD:main")

    mine.git("fetch", "-q")
    assert agentprov("sync", cwd=mine.top).status == 0
    answer = agentprov("verify", "origin/main", "--json", cwd=mine.top)
    (judged,) = [one for one in answer.json()["commits"] if one["commit"] == new]
    assert [link["method"] for link in judged["rewrites"]] == ["content"]
    assert (judged["coverage"], judged["via"]) == ("uncovered", None)
    assert answer.status == 10
    told = agentprov("verify", "origin/main", cwd=mine.top).out
    assert f"{new[:12]}  uncovered\n" in told


def test_a_clone_without_a_recorders_key_signs_nothing_and_makes_no_key(tmp_path: Path) -> None:
    story = Story(tmp_path / "mine", 8)
    story.put("a.txt", story.block("person", 8, 12))
    story.commit("base")
    story.session("a.txt")
    story.git("commit", "-q", "--amend", "-m", "amended")
    keys = story.world.home / "keys"
    for place in keys.iterdir():
        place.unlink()
    story.settle()
    assert not Record(story.repository).rewrites
    assert list(keys.iterdir()) == []
