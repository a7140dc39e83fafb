"""Approving what is odd: each change is shown, signed, found again, and speaks for nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentprov.flows import approve, trust
from agentprov.flows import verify as verifying
from agentprov.flows.world import World
from agentprov.formats.review import MAX_SHOWN_BYTES
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git
from agentprov.verify.finding import CommitVerdict
from support.repository import Repository


@dataclass
class Desk:
    repository: Repository
    world: World

    def prepare(self, target: str = "HEAD") -> approve.Prepared:
        return approve.prepare(self.world, target)

    def approve(self, target: str = "HEAD", prepared: approve.Prepared | None = None) -> str:
        made = prepared or self.prepare(target)
        accept = [item.id for item in made.refusals]
        approve.decide(self.world, made, "approved", shown_on="none", accept=accept, environment={})
        return made.commit

    def verdict(self, target: str) -> CommitVerdict:
        judgement = verifying.verify(self.world, [target])
        return judgement.verdict.commits[0]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    repository = Repository(tmp_path / "repository")
    repository.git("checkout", "-q", "-b", "main")
    repository.git("config", "user.email", "jane@example.com")
    repository.write("a.py", "one\n")
    repository.write("b.py", "b\n" * 100)
    repository.commit("first")
    home = tmp_path / "home"
    trust.trust_text(home, "jane@example.com")
    return Desk(repository, World(Git.discover(repository.top), home, SystemClock()))


def hostile_names(repository: Repository) -> None:
    for name in (b"new\nline", b"esc\x1b[2J", b"latin-\xe9", b"..git", "bidi\u202e".encode()):
        repository.write(name, "x\n")
    repository.write(b"--all", "x = '\u202e'\n")


def sizes(repository: Repository) -> None:
    repository.write("huge.txt", b"x" * (MAX_SHOWN_BYTES + 1))
    repository.write("binary", bytes(range(256)))
    repository.write("no-newline", "x")
    repository.write("empty", "")


def kinds(repository: Repository) -> None:
    os.symlink("/etc/passwd", repository.top / "link")
    os.chmod(repository.top / "a.py", 0o755)
    os.rename(repository.top / "b.py", repository.top / "c.py")
    oid = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{oid},module")
    repository.git("add", "link", "a.py", "b.py", "c.py")


def nothing(_: Repository) -> None:
    pass


@pytest.mark.parametrize("change", [hostile_names, sizes, kinds, nothing])
def test_an_odd_change_is_approved_and_the_approval_is_found_good(
    desk: Desk, change: Callable[[Repository], None]
) -> None:
    change(desk.repository)
    if change is not kinds:
        desk.repository.git("add", "-A")
    desk.repository.git("commit", "-q", "--allow-empty", "-m", "odd\x1b[2J \u202e")
    prepared = desk.prepare()
    assert not {char for char in prepared.review.text if ord(char) < 32} - {"\n", "\t"}
    assert "\u202e" not in prepared.review.text
    desk.approve(prepared=prepared)
    (ref,) = desk.verdict("HEAD").approvals
    assert ref.valid
    assert ref.partial is (change is sizes)
    judgement = verifying.verify(desk.world, ["HEAD"])
    whys = " | ".join(item.why for item in judgement.verdict.not_proven)
    assert "what was shown was made again here" in whys
    assert "presentation-differs" not in {item.code for item in judgement.verdict.findings}


def test_a_merge_and_an_octopus_speak_for_all_that_they_bring_and_nothing_else(desk: Desk) -> None:
    git = desk.repository.git
    base = git("rev-parse", "HEAD")
    brought = []
    for name in ("one", "two", "three"):
        git("checkout", "-q", "-b", name, base)
        desk.repository.write(name, name)
        brought.append(desk.repository.commit(name))
    git("checkout", "-q", "main")
    git("merge", "-q", "--no-ff", "-m", "octopus", "one", "two")
    text = desk.prepare().review.text
    assert "added 100644 one\n" in text
    assert "added 100644 two\n" in text
    desk.approve()
    for oid in (git("rev-parse", "HEAD"), *brought[:2]):
        assert [item.valid for item in desk.verdict(oid).approvals] == [True]
    for oid in (base, brought[2]):
        assert desk.verdict(oid).approvals == ()


def test_what_is_signed_is_what_was_shown_though_the_branch_moves_on(desk: Desk) -> None:
    shown = desk.repository.commit("shown", "--allow-empty")
    prepared = desk.prepare()
    desk.repository.write("evil.py", "evil\n")
    evil = desk.repository.commit("evil")
    assert desk.approve(prepared=prepared) == shown
    assert [item.valid for item in desk.verdict(shown).approvals] == [True]
    assert desk.verdict(evil).approvals == ()
    assert desk.verdict(evil).coverage == "uncovered"


def test_a_range_approval_says_nothing_for_the_commit_on_top_or_beside(desk: Desk) -> None:
    git = desk.repository.git
    git("checkout", "-q", "-b", "feature")
    first, second = desk.repository.commit("1"), desk.repository.commit("2")
    desk.approve("main..feature")
    top = desk.repository.commit("3")
    git("checkout", "-q", "-b", "beside", first)
    desk.repository.write("beside", "x")
    beside = desk.repository.commit("2")
    for oid, valid in ((first, [True]), (second, [True]), (top, []), (beside, [])):
        assert [item.valid for item in desk.verdict(oid).approvals] == valid


def test_deleted_notes_approve_nothing(desk: Desk) -> None:
    oid = desk.repository.commit("x")
    desk.approve()
    assert desk.verdict(oid).coverage == "human"
    desk.repository.git("update-ref", "-d", "refs/notes/agentprov")
    assert desk.verdict(oid).approvals == ()
    assert desk.verdict(oid).coverage == "uncovered"


def test_a_clone_without_contents_finds_the_approval_and_says_it_was_not_made_again(
    desk: Desk, tmp_path: Path
) -> None:
    desk.repository.write("a.py", "two\n")
    desk.repository.commit("x")
    desk.approve()
    desk.repository.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    origin = f"file://{desk.repository.top}"
    desk.repository.git("clone", "-q", "--no-checkout", "--filter=blob:none", origin, str(clone))
    git = Git.discover(clone)
    git.run("fetch", "-q", "--no-filter", "origin", "refs/notes/agentprov:refs/notes/agentprov")
    with git.cat_file() as reader:
        blob = git.text("rev-parse", "HEAD:a.py")
        assert [reader.get(name) is None for name in (blob, "HEAD", blob, "HEAD")] == [
            True,
            False,
            True,
            False,
        ]
    judgement = verifying.verify(World(git, desk.world.home, desk.world.clock), ["HEAD"])
    assert judgement.verdict.commits[0].coverage == "human"
    whys = " | ".join(item.why for item in judgement.verdict.not_proven)
    assert "what was shown was not made again here" in whys
