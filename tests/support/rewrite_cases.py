"""One way of rewriting history for each category, done to a story; what it ends with is at HEAD."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from agentprov.flows.install import install
from support.repository import Repository
from support.rewrite_stories import Recorded, Story, Tally

CASES: dict[str, list[Callable[[Story], None]]] = {}


def case(category: str) -> Callable[[Callable[[Story], None]], Callable[[Story], None]]:
    """File a way of rewriting under its category."""

    def keep(function: Callable[[Story], None]) -> Callable[[Story], None]:
        CASES.setdefault(category, []).append(function)
        return function

    return keep


def tell(top: Path, seed: int, way: Callable[[Story], None]) -> Tally:
    """Tell one story from its beginning to its end, and check the final tree; half have hooks."""
    story = Story(top, seed)
    if seed % 2:
        install(story.world.git, python="/bin/true")
    for name in ("a.txt", "b.txt", "src/c.txt"):
        story.put(name, story.block("person", 8, 14))
    story.commit("base")
    way(story)
    story.settle()
    story.settle()
    return story.check()


def _feature(story: Story, commits: int = 3, *paths: str) -> None:
    """Make a branch with a session's commits, and one more by a person or another session."""
    story.git("checkout", "-q", "-b", "feature")
    story.session(*(paths or ("a.txt", "b.txt")), commits=commits)
    if story.random.random() < 0.5:
        story.session(story.random.choice(("a.txt", "new.txt")))
    else:
        story.person("b.txt", "colleague")
        story.commit()
    if story.random.random() < 0.5:
        story.settle()


def _meanwhile(story: Story, *paths: str) -> None:
    """Let the main branch go on."""
    story.git("checkout", "-q", "main")
    for path in paths or ("src/c.txt",):
        story.person(path, "colleague", delete=False)
    story.commit()


def _resolve(story: Story, *go_on: str) -> None:
    """Take both sides wherever git found a conflict, and go on until it is content."""
    for _ in range(20):
        names = story.git("diff", "--name-only", "--diff-filter=U").split("\n")
        for name in filter(None, names):
            kept = [
                line
                for line in story.read(name)
                if not line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||"))
            ]
            story.repository.write(name, "".join(f"{line}\n" for line in kept))
        story.git("add", "-A")
        done = subprocess.run(
            ["git", *go_on],
            cwd=story.top,
            env={**os.environ, "GIT_EDITOR": "true"},
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return
    raise AssertionError(done.stdout + done.stderr)


# --- amend ---------------------------------------------------------------------------------


@case("amend")
def amend_the_message(story: Story) -> None:
    story.session("a.txt", "new.txt")
    story.git("commit", "-q", "--amend", "-m", "other words")


@case("amend")
def amend_the_content(story: Story) -> None:
    story.session("a.txt", "b.txt")
    for _ in range(story.random.randint(1, 3)):
        story.person("a.txt")
        story.git("commit", "-q", "-a", "--amend", "--no-edit")


@case("amend")
def amend_by_another_session(story: Story) -> None:
    story.session("a.txt", "b.txt")
    other = Recorded(story)
    other.edit("a.txt")
    story.git("commit", "-q", "-a", "--amend", "--no-edit")
    other.bind()
    other.close()


@case("amend")
def amend_a_rename(story: Story) -> None:
    story.session("a.txt")
    (story.top / "moved").mkdir()
    story.git("mv", "a.txt", "moved/z.txt")
    story.git("commit", "-q", "--amend", "--no-edit")


# --- rebase --------------------------------------------------------------------------------


@case("rebase")
def rebase_plain(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("rebase", "-q", "main", "feature")


@case("rebase")
def rebase_by_patches(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("rebase", "-q", "--apply", "main", "feature")


@case("rebase")
def rebase_over_the_same_files(story: Story) -> None:
    _feature(story)
    _meanwhile(story, "a.txt", "b.txt")
    if "CONFLICT" in story.git("rebase", "main", "feature", check=False):
        _resolve(story, "rebase", "--continue")


@case("rebase onto")
def rebase_onto(story: Story) -> None:
    story.git("checkout", "-q", "-b", "lower")
    story.person("src/c.txt")
    story.commit()
    _feature(story)
    story.git("rebase", "-q", "--onto", "main", "lower", "feature")


@case("rebase exec")
def rebase_exec(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("rebase", "-q", "--exec", "true", "main", "feature")


@case("rebase reorder")
def rebase_reorder(story: Story) -> None:
    story.session("a.txt", commits=1)
    story.session("b.txt", commits=1)
    story.session("new.txt", commits=1)
    story.rebase_i("HEAD~3", "1{h;d};3{G}")


@case("rebase squash")
def rebase_squash(story: Story) -> None:
    story.session("a.txt", "b.txt", commits=3)
    story.rebase_i("HEAD~3", "2,3s/^pick/squash/")


@case("rebase squash")
def rebase_squash_of_two_sessions(story: Story) -> None:
    story.session("a.txt")
    story.person("a.txt")
    story.commit()
    story.session("a.txt", "b.txt")
    story.rebase_i("HEAD~3", "2,3s/^pick/squash/")


@case("rebase fixup")
def rebase_fixup(story: Story) -> None:
    story.session("a.txt", commits=2)
    story.person("a.txt")
    story.commit()
    story.rebase_i("HEAD~3", "3s/^pick/fixup/")


@case("rebase autosquash")
def rebase_autosquash(story: Story) -> None:
    story.session("a.txt", message="first")
    story.session("b.txt")
    story.person("a.txt")
    story.git("commit", "-q", "-a", "-m", "fixup! first 0")
    story.rebase_i("HEAD~3", "", "--autosquash")


@case("rebase drop")
def rebase_drop(story: Story) -> None:
    story.session("a.txt")
    story.session("b.txt")
    story.session("new.txt")
    story.rebase_i("HEAD~3", "2s/^pick/drop/")
    story.person("b.txt", "afterwards")
    story.commit()


@case("rebase edit")
def rebase_edit(story: Story) -> None:
    story.session("a.txt")
    story.session("b.txt")
    story.rebase_i("HEAD~2", "1s/^pick/edit/")
    story.person("a.txt")
    story.git("commit", "-q", "-a", "--amend", "--no-edit")
    story.git("rebase", "--continue")


@case("rebase split")
def rebase_split(story: Story) -> None:
    story.session("a.txt", "b.txt", "new.txt")
    story.session("src/c.txt")
    story.rebase_i("HEAD~2", "1s/^pick/edit/")
    story.git("reset", "-q", "HEAD~1")
    story.git("add", "a.txt")
    story.git("commit", "-q", "-m", "one half")
    story.git("add", "-A")
    story.git("commit", "-q", "-m", "the other half")
    story.git("rebase", "--continue")


@case("rebase abort")
def rebase_abort(story: Story) -> None:
    _feature(story)
    _meanwhile(story, "a.txt", "b.txt")
    story.git("rebase", "main", "feature", check=False)
    story.git("rebase", "--abort", check=False)
    story.git("checkout", "-q", "feature")


@case("rebase conflict")
def rebase_conflict(story: Story) -> None:
    story.git("checkout", "-q", "-b", "feature")
    recorded = Recorded(story)
    recorded.edit("a.txt", [*story.lines("a.txt"), *story.block(recorded.id, 4, 6)])
    story.commit()
    recorded.bind()
    recorded.edit("b.txt")
    story.commit()
    recorded.close()
    story.git("checkout", "-q", "main")
    story.put("a.txt", [*story.lines("a.txt"), *story.block("colleague", 4, 6)])
    story.commit()
    story.git("rebase", "main", "feature", check=False)
    _resolve(story, "rebase", "--continue")


@case("rebase merges")
def rebase_merges(story: Story) -> None:
    story.git("checkout", "-q", "-b", "feature")
    story.session("a.txt")
    story.git("checkout", "-q", "-b", "side")
    story.session("new.txt", "src/c.txt")
    story.git("checkout", "-q", "feature")
    story.session("a.txt")
    story.git("merge", "-q", "--no-ff", "--no-edit", "side")
    _meanwhile(story, "b.txt")
    story.git("rebase", "-q", "--rebase-merges", "main", "feature")


@case("pull --rebase")
def pull_rebase(story: Story) -> None:
    bare = story.top.parent / (story.top.name + "-bare.git")
    story.git("init", "-q", "--bare", str(bare))
    story.git("remote", "add", "origin", str(bare))
    story.git("push", "-q", "-u", "origin", "main")
    story.git("checkout", "-q", "-b", "aside")
    story.person("src/c.txt", "colleague")
    story.commit()
    story.git("push", "-q", "origin", "aside:main")
    story.git("checkout", "-q", "main")
    story.git("branch", "-q", "-D", "aside")
    story.session("a.txt", "b.txt", commits=2)
    story.git("pull", "-q", "--rebase")


# --- merge ---------------------------------------------------------------------------------


@case("merge")
def merge_plain(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("merge", "-q", "--no-edit", "feature")


@case("merge")
def merge_with_a_conflict(story: Story) -> None:
    _feature(story)
    _meanwhile(story, "a.txt", "b.txt")
    if "CONFLICT" in story.git("merge", "--no-edit", "feature", check=False):
        _resolve(story, "commit", "--no-edit")


@case("merge --squash")
def merge_squash(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("merge", "-q", "--squash", "feature")
    edited = story.random.random() < 0.5
    story.git("commit", "-q", *(("-m", "all of it") if edited else ("--no-edit",)))


@case("merge --squash")
def merge_squash_over_the_same_files(story: Story) -> None:
    _feature(story)
    _meanwhile(story, "a.txt", "b.txt")
    story.git("merge", "--squash", "feature", check=False)
    _resolve(story, "commit", "-m", "all of it")


@case("merge --squash")
def merge_squash_and_edit(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("merge", "-q", "--squash", "feature")
    story.person("a.txt")
    story.git("commit", "-q", "-a", "-m", "all of it, and more")


@case("merge --squash")
def merge_squash_of_a_branch_that_goes(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("merge", "-q", "--squash", "feature")
    story.git("commit", "-q", "-m", "all of it")
    story.git("branch", "-q", "-D", "feature")


@case("octopus")
def octopus(story: Story) -> None:
    for name, path in (("one", "a.txt"), ("two", "b.txt"), ("three", "new.txt")):
        story.git("checkout", "-q", "-b", name, "main")
        story.session(path)
    story.git("checkout", "-q", "main")
    story.git("merge", "-q", "--no-edit", "one", "two", "three")


# --- copies --------------------------------------------------------------------------------


@case("cherry-pick")
def cherry_pick(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    if "CONFLICT" in story.git(
        "cherry-pick", *story.random.choice(((), ("-x",))), "feature~2", check=False
    ):
        _resolve(story, "cherry-pick", "--continue")


@case("cherry-pick")
def cherry_pick_many(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("cherry-pick", "main..feature")


@case("cherry-pick")
def cherry_pick_with_a_conflict(story: Story) -> None:
    _feature(story)
    _meanwhile(story, "a.txt", "b.txt")
    if "CONFLICT" in story.git("cherry-pick", "main..feature", check=False):
        _resolve(story, "cherry-pick", "--continue")


@case("cherry-pick --no-commit")
def cherry_pick_no_commit(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("cherry-pick", "--no-commit", "main..feature")
    story.person("src/c.txt")
    story.git("commit", "-q", "-a", "-m", "picked together")


@case("revert")
def revert(story: Story) -> None:
    story.session("a.txt")
    story.session("b.txt")
    story.git("revert", "--no-edit", "HEAD~1")
    if story.random.random() < 0.5:
        story.git("revert", "--no-edit", "HEAD")


@case("am")
def format_patch_and_am(story: Story) -> None:
    _feature(story)
    patches = story.git("format-patch", "--stdout", "main..feature")
    _meanwhile(story)
    story.git("am", "-q", input=os.fsencode(patches) + b"\n")


# --- reset, stash, checkout ----------------------------------------------------------------


@case("reset --soft")
def reset_soft(story: Story) -> None:
    story.session("a.txt", "b.txt", commits=2)
    story.session("new.txt")
    if story.random.random() < 0.5:
        story.settle()
    story.git("reset", "-q", "--soft", "HEAD~3")
    story.git("commit", "-q", "-m", "all at once")


@case("reset --mixed")
def reset_mixed(story: Story) -> None:
    story.session("a.txt", "b.txt", commits=2)
    story.git("reset", "-q", "HEAD~2")
    story.person("a.txt")
    story.git("add", "a.txt")
    story.git("commit", "-q", "-m", "one")
    story.git("commit", "-q", "-a", "-m", "two")


@case("reset --hard")
def reset_hard(story: Story) -> None:
    story.session("a.txt", commits=2)
    story.git("reset", "-q", "--hard", "HEAD~1")
    story.person("a.txt", "afterwards")
    story.commit()


@case("reset of a path")
def checkout_of_a_path(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("checkout", "feature", "--", "a.txt")
    story.git("commit", "-q", "-m", "take one file")


@case("stash")
def stash_and_pop(story: Story) -> None:
    story.session("a.txt", "b.txt", leave=True)
    story.git("stash", "push", "-q")
    story.person("src/c.txt")
    story.commit()
    story.git("stash", "pop", "-q")
    story.commit("from the stash")


@case("stash")
def stash_of_one_path(story: Story) -> None:
    story.session("a.txt", "b.txt", leave=True)
    story.git("stash", "push", "-q", "--", "a.txt")
    story.commit("without it")
    story.git("stash", "apply", "-q")
    story.commit("with it")


@case("checkout with changes")
def checkout_with_changes(story: Story) -> None:
    story.session("a.txt", "b.txt", leave=True)
    story.git("checkout", "-q", "-b", "elsewhere")
    story.git("commit", "-q", "-a", "-m", "on another branch")


@case("worktree")
def worktrees(story: Story) -> None:
    other = story.top.parent / (story.top.name + "-other")
    story.git("worktree", "add", "-q", "-b", "feature", str(other))
    home, story.top = story.top, other
    story.repository.top = other
    story.session("a.txt", "new.txt", commits=2)
    story.git("commit", "-q", "--amend", "-m", "amended there")
    story.settle()
    story.top = story.repository.top = home
    _meanwhile(story)
    story.git("cherry-pick", "main..feature")


# --- staging and files ---------------------------------------------------------------------


@case("add -p")
def partial_staging(story: Story) -> None:
    recorded = Recorded(story)
    lines = story.lines("a.txt")
    recorded.edit("a.txt", [*story.block(recorded.id), *lines, *story.block(recorded.id)])
    story.git("add", "-p", "a.txt", input=b"y\nn\n")
    story.git("commit", "-q", "-m", "the first part")
    recorded.close()
    story.git("commit", "-q", "-a", "-m", "the rest")
    story.git("reset", "-q", "--soft", "HEAD~2")
    story.git("commit", "-q", "-m", "both parts")


@case("commit -a")
def commit_all(story: Story) -> None:
    recorded = Recorded(story)
    recorded.edit("a.txt")
    story.git("commit", "-q", "-a", "-m", "all")
    recorded.edit("b.txt")
    story.git("commit", "-q", "-a", "--amend", "--no-edit")
    recorded.close()
    story.person("a.txt")
    story.git("commit", "-q", "-a", "--amend", "--no-edit")


@case("mv")
def move(story: Story) -> None:
    story.session("a.txt", "new.txt")
    story.git("mv", "a.txt", "renamed.txt")
    story.commit("move")
    story.git("reset", "-q", "--soft", "HEAD~2")
    story.git("commit", "-q", "-m", "squashed with the move")


@case("mv")
def squash_and_move(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("merge", "-q", "--squash", "feature")
    story.git("mv", "a.txt", "renamed.txt")
    story.git("commit", "-q", "-m", "squashed and moved")


@case("submodule")
def submodules(story: Story) -> None:
    inner = Repository(story.top.parent / (story.top.name + "-inner"))
    inner.write("inner.txt", "inner\n")
    inner.commit()
    story.git("submodule", "add", "-q", str(inner.top), "sub")
    story.commit("a submodule")
    recorded = Recorded(story)
    (story.top / "sub" / "more.txt").write_text("more\n")
    Repository(story.top / "sub").commit("inside")
    recorded.edit("a.txt")
    story.commit("with it")
    recorded.bind()
    recorded.close()
    story.git("commit", "-q", "--amend", "-m", "amended")


# --- whole histories -----------------------------------------------------------------------


@case("filter-branch")
def filter_branch(story: Story) -> None:
    story.session("a.txt", "b.txt", commits=2)
    story.person("b.txt")
    story.commit()
    way = story.random.choice(
        (("--msg-filter", "sed s/work/deed/"), ("--tree-filter", "echo x > extra.txt"))
    )
    env = {**os.environ, "FILTER_BRANCH_SQUELCH_WARNING": "1"}
    subprocess.run(
        ["git", "filter-branch", "-f", *way, "main"],
        cwd=story.top, env=env, capture_output=True, check=True,
    )  # fmt: skip


@case("filter-repo")
def filter_repo(story: Story) -> None:
    story.session("a.txt", "b.txt", commits=2)
    story.settle()
    way = story.random.choice(
        (
            ("--message-callback", "return message.upper()"),
            ("--to-subdirectory-filter", "deep"),
            ("--path-rename", "a.txt:z.txt"),
        )
    )
    subprocess.run(
        [sys.executable, "-m", "git_filter_repo", "--force", "--refs", "main", *way],
        cwd=story.top, capture_output=True, check=True,
    )  # fmt: skip


@case("replace")
def replace(story: Story) -> None:
    story.session("a.txt", "b.txt")
    story.git("checkout", "-q", "--detach")
    story.git("commit", "-q", "--amend", "-m", "in its place")
    made = story.git("rev-parse", "HEAD")
    story.git("checkout", "-q", "main")
    story.git("replace", "main", made)
    story.git("branch", "-q", "-f", "shown", made)
    story.git("checkout", "-q", "shown")


@case("fast-import")
def fast_import(story: Story) -> None:
    story.session("a.txt", "b.txt", commits=2)
    stream = story.git("fast-export", "main").replace("refs/heads/main", "refs/heads/again")
    stream = stream.replace("ada@example.com", "eda@example.com")
    story.git("fast-import", "--quiet", "--force", input=os.fsencode(stream) + b"\n")
    story.git("checkout", "-q", "again")


# --- seen in no reflog: another client, a forge ----------------------------------------------


@case("another client")
def squash_by_plumbing(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    tree = story.git("merge-tree", "--write-tree", "main", "feature")
    made = story.git("commit-tree", "-p", "main", "-m", "by another client", tree)
    story.git("update-ref", "refs/heads/main", made)
    story.git("reset", "-q", "--hard")


@case("another client")
def reindented(story: Story) -> None:
    _feature(story)
    _meanwhile(story)
    story.git("merge", "-q", "--squash", "feature")
    lines = [(f"  {text}" if text else text, who) for text, who in story.lines("b.txt")]
    for text, who in lines:
        story.written[text].add("person" if who else who)
    story.repository.write("b.txt", "".join(f"{text}\n" for text, _ in lines))
    story.git("commit", "-q", "-a", "-m", "squashed, one file indented anew")


# --- what others got wrong -----------------------------------------------------------------


@case("no session at all")
def typed_by_hand(story: Story) -> None:
    _feature(story)
    story.git("checkout", "-q", "main")
    story.put("a.txt", [*story.lines("a.txt"), *((text, "person") for text in ("}", "", "end"))])
    for text in ("}", "", "end"):
        story.written[text].add("person")
    story.commit("typed")
    story.git("commit", "-q", "--amend", "-m", "typed again")


@case("stale after a person's edit")
def every_line_edited(story: Story) -> None:
    story.session("new.txt")
    lines = [(f"{text} edited", "person") for text, _ in story.lines("new.txt")]
    for text, who in lines:
        story.written[text].add(who)
    story.put("new.txt", lines)
    story.git("commit", "-q", "-a", "--amend", "--no-edit")


@case("two sessions, one text")
def the_same_text_twice(story: Story) -> None:
    shared: list[tuple[str, str]] = []
    for name in ("one", "two"):
        story.git("checkout", "-q", "-b", name, "main")
        recorded = Recorded(story)
        if not shared:
            shared = story.block(recorded.id, 4, 6)
        mine = [(text, recorded.id) for text, _ in shared]
        for text, who in mine:
            story.written[text].add(who)
        recorded.edit("a.txt", [*story.lines("a.txt"), *mine, *story.block(recorded.id, 2, 3)])
        story.commit()
        recorded.bind()
        recorded.close()
    story.git("checkout", "-q", "main")
    story.person("b.txt")
    story.commit()
    story.git("merge", "-q", "--squash", story.random.choice(("one", "two")))
    story.git("commit", "-q", "-m", "one of them")


@case("session inside a rewrite")
def a_session_rebases(story: Story) -> None:
    _feature(story, 2)
    _meanwhile(story)
    story.git("checkout", "-q", "feature")
    recorded = Recorded(story)
    recorded.edit("new.txt")
    story.commit()
    recorded.bind()
    story.git("rebase", "-q", "main")
    recorded.bind()
    recorded.close()


@case("session inside a rewrite")
def a_session_squashes_others(story: Story) -> None:
    _feature(story, 2)
    _meanwhile(story)
    recorded = Recorded(story)
    story.git("merge", "-q", "--squash", "feature")
    recorded.edit("src/c.txt")
    story.commit("squashed by an agent")
    recorded.bind()
    recorded.close()


__all__ = ["CASES", "case", "tell"]
