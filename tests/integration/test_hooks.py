"""What our hooks do when git runs them, and that nothing they meet can fail a commit."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.hooked_repository import SESSION, Repository, make_repository, wait_for

TRAILER = f"Agentprov-Session: {SESSION}/1"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = make_repository(tmp_path / "repo", tmp_path / "scratch")
    made.install()
    return made


def bare_processes(repository: Repository, *arguments: str) -> int:
    return repository.git_processes("-c", "core.hooksPath=/nowhere", *arguments)


# --- a commit that no session touched


def test_an_untouched_commit_leaves_no_file_and_starts_no_process(repository: Repository) -> None:
    repository.change()
    bare = bare_processes(repository, "commit", "-qm", "without hooks")
    before = sorted(repository.home.rglob("*"))
    # A PATH of traps: whatever a hook looks up there is written down. Git itself stands in front.
    traps = repository.log.parent / "traps"
    traps.mkdir()
    caught = repository.log.parent / "caught"
    for name in ("mv", "cat", "grep", "rm", "mkdir", "python3"):
        repository.hook(name, f'echo {name} >>"{caught}"', traps)
    repository.change()
    count = repository.git_processes(
        "commit", "-qm", "with hooks", env={"PATH": f"{traps}:{os.environ['PATH']}"}
    )
    assert count == bare
    assert not caught.exists()
    assert sorted(repository.home.rglob("*")) == before
    assert repository.message() == "with hooks\n"
    assert repository.started() == []


def test_only_two_of_our_hooks_fire_on_a_plain_commit(repository: Repository) -> None:
    fired = repository.log.parent / "fired"
    program = repository.home / "hook.sh"
    program.write_text(f'printf "%s\\n" "$_ap_name" >>"{fired}"\n' + program.read_text())
    repository.commit()
    assert fired.read_text().split() == ["prepare-commit-msg", "post-commit"]


@pytest.mark.parametrize(
    "message",
    [
        b"plain\n",
        b"  odd   \n\n\n\nspaces \t\n",
        b"caf\xc3\xa9 \xf0\x9f\x8c\xb1\n",
        b"t\n\nkey: value\n",
    ],
)
def test_a_message_that_is_not_ours_keeps_its_bytes(repository: Repository, message: bytes) -> None:
    path = repository.log.parent / "message"
    path.write_bytes(message)
    repository.change()
    repository.git("commit", "-q", "--cleanup=verbatim", "-F", str(path))
    raw = repository.git("cat-file", "commit", "HEAD").stdout.partition(b"\n\n")[2]
    assert raw == message


# --- inside a session


def test_a_commit_in_a_session_gets_the_trailer_and_an_event(repository: Repository) -> None:
    env = repository.session(number=7)
    assert repository.commit("-m", "Do it", env=env) == (
        f"Do it\n\nAgentprov-Session: {SESSION}/7\n"
    )
    (drop,) = repository.session_drops()
    assert (drop.channel, drop.event) == ("git", "post-commit")
    head = repository.git("rev-parse", "HEAD").stdout.decode().strip()
    assert f"tip {head}\n" in drop.payload.decode()
    assert f"worktree {repository.top}\n" in drop.payload.decode()
    assert repository.started() == []


def test_a_commit_in_a_session_costs_no_git_process(repository: Repository) -> None:
    repository.change()
    bare = bare_processes(repository, "commit", "-qm", "without hooks")
    env = repository.session()
    repository.change()
    assert repository.git_processes("commit", "-qm", "with hooks", env=env) == bare
    assert repository.trailers() == [TRAILER]


def test_a_session_of_another_repository_is_nothing_here(
    repository: Repository, tmp_path: Path
) -> None:
    other = make_repository(tmp_path / "other", tmp_path / "scratch2")
    other.install()
    env = other.session()
    assert repository.commit("-m", "Here", env=env) == "Here\n"
    assert other.session_drops() == []


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "with space", "new\nline"])
def test_a_session_name_that_is_no_word_is_ignored(repository: Repository, name: str) -> None:
    (repository.home / "live" / "x").mkdir()
    assert repository.commit("-m", "Here", env={"AGENTPROV_SESSION": name}) == "Here\n"


def test_a_session_that_is_over_marks_nothing(repository: Repository) -> None:
    env = repository.session(live=False)
    assert repository.commit("-m", "Later", env=env) == "Later\n"


def test_events_go_outside_where_the_git_directory_takes_none(
    repository: Repository, tmp_path: Path
) -> None:
    env = repository.session()
    spool = repository.home / "sessions" / SESSION / "spool"
    spool.rmdir()
    spool.write_text("not a directory")
    fallback = tmp_path / "fallback"
    fallback.mkdir()
    repository.commit(env={**env, "AGENTPROV_SPOOL_FALLBACK": str(fallback)})
    assert [drop.event for drop in repository.drops(fallback)] == ["post-commit"]


def test_where_nothing_can_be_written_one_line_says_so_and_the_commit_stands(
    repository: Repository,
) -> None:
    env = repository.session()
    spool = repository.home / "sessions" / SESSION / "spool"
    spool.rmdir()
    spool.symlink_to("/proc/self/fdinfo")  # there, and not writable for anybody
    repository.change()
    done = repository.git("commit", "-qm", "x", env={**env, "AGENTPROV_SPOOL": str(spool)})
    lines = done.stderr.decode().splitlines()
    assert lines == ["agentprov: could not note this commit; it will be looked for in the reflog"]


def test_a_neighbour_of_a_live_session_is_noted_in_it(repository: Repository) -> None:
    repository.session()
    repository.live(SESSION, os.getpid(), repository.git_view.git_dir)
    assert repository.commit("-m", "By hand") == "By hand\n"
    assert [drop.event for drop in repository.session_drops()] == ["post-commit"]


@pytest.mark.parametrize("directory", ["linked", "new\nline", "with space"])
def test_a_neighbour_is_found_in_a_linked_work_tree_too(
    repository: Repository, tmp_path: Path, directory: str
) -> None:
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / directory))
    linked = Repository(tmp_path / directory, repository.log, repository.python)
    repository.session()
    repository.live(SESSION, os.getpid(), linked.git_view.git_dir)
    repository.commit("-m", "In the main work tree", name="main.txt")
    assert repository.session_drops() == []
    linked.commit("-m", "In the linked one")
    assert len(repository.session_drops()) == 1


def test_a_session_in_another_work_tree_is_no_neighbour(repository: Repository) -> None:
    repository.session()
    repository.commit("-m", "By hand")
    assert repository.session_drops() == []


def test_a_dead_recorder_is_no_neighbour(repository: Repository) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    repository.session()
    repository.live(SESSION, process.pid, repository.git_view.git_dir)
    repository.commit("-m", "By hand")
    assert repository.session_drops() == []


# --- after a session


def test_committing_a_sessions_output_later_marks_it_and_wakes_the_worker(
    repository: Repository,
) -> None:
    repository.session(live=False, number=3)
    repository.pending("other.txt", "file.txt")
    assert repository.commit("-m", "Later") == f"Later\n\nAgentprov-Session: {SESSION}/3\n"
    assert wait_for(lambda: repository.started() != [])
    assert set(repository.started()) == {"-I -m agentprov drain --quiet"}
    assert wait_for(lambda: not (repository.home / "worker").exists())


def test_committing_something_else_is_noted_and_not_marked(repository: Repository) -> None:
    repository.session(live=False)
    repository.pending("unrelated.txt")
    assert repository.commit("-m", "Else") == "Else\n"
    assert len(repository.drops()) == 1


def test_a_late_commit_costs_one_git_process(repository: Repository) -> None:
    repository.change()
    bare = bare_processes(repository, "commit", "-qm", "without hooks")
    repository.session(live=False)
    repository.pending("file.txt")
    repository.change()
    assert repository.git_processes("commit", "-qm", "with hooks") == bare + 1


def test_two_sessions_in_one_commit_are_both_named(repository: Repository) -> None:
    repository.session("one", live=False)
    repository.session("two", live=False, number=4)
    repository.pending("file.txt", name="one")
    repository.pending("file.txt", name="two")
    repository.commit()
    assert repository.trailers() == ["Agentprov-Session: one/1", "Agentprov-Session: two/4"]


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("with space.txt", "with space.txt"),
        ('quo"te.txt', '"quo\\"te.txt"'),
        ("new\nline.txt", '"new\\nline.txt"'),
        ("gr\u00fcn.txt", '"gr\\303\\274n.txt"'),
        ("sub/dir/deep.txt", "sub/dir/deep.txt"),
        ("[a-z]*.txt", "[a-z]*.txt"),
    ],
)
def test_odd_names_are_matched_as_git_quotes_them(
    repository: Repository, name: str, quoted: str
) -> None:
    repository.session(live=False)
    repository.pending(quoted)
    repository.commit(name=name)
    assert repository.trailers() == [TRAILER]


def test_a_rename_of_a_sessions_file_is_matched(repository: Repository) -> None:
    repository.session(live=False)
    repository.commit(name="old.txt")
    repository.pending("old.txt")
    repository.git("mv", "old.txt", "new.txt")
    repository.git("commit", "-qm", "Rename")
    assert repository.trailers() == [TRAILER]


def test_commit_all_and_commit_paths_look_at_what_is_really_committed(
    repository: Repository,
) -> None:
    repository.commit(name="a.txt")
    repository.commit(name="b.txt")
    repository.session(live=False)
    repository.pending("a.txt")
    (repository.top / "a.txt").write_text("by session\n")
    (repository.top / "b.txt").write_text("by hand\n")
    repository.git("commit", "-qm", "Only b", "b.txt")
    assert repository.trailers() == []
    repository.git("commit", "-qam", "The rest")
    assert repository.trailers() == [TRAILER]


def test_the_first_commit_of_a_repository_is_marked_too(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo", tmp_path / "scratch", fresh=False)
    repository.install()
    repository.session(live=False)
    repository.pending("file.txt")
    repository.commit()
    assert repository.trailers() == [TRAILER]


def test_a_burst_of_commits_starts_one_worker_at_a_time(repository: Repository) -> None:
    gate = repository.log.parent / "gate"
    repository.python.write_text(
        f'#!/bin/sh\necho "$*" >>"{repository.log}"\nwhile ! [ -e "{gate}" ]; do sleep 0.02; done\n'
        f'rm -f "{repository.home}"/spool/*.drop\n'
    )
    repository.session(live=False)
    repository.pending("unrelated.txt")
    for _ in range(5):
        repository.commit()
    assert wait_for(lambda: repository.started() != [])
    assert len(repository.started()) == 1
    gate.touch()
    assert wait_for(lambda: not (repository.home / "worker").exists())


# --- messages


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Title", f"Title\n\n{TRAILER}\n"),
        ("Title: looks like a trailer", f"Title: looks like a trailer\n\n{TRAILER}\n"),
        ("Title\n\nBody text.", f"Title\n\nBody text.\n\n{TRAILER}\n"),
        ("Title\n\nNote: this is\nprose", f"Title\n\nNote: this is\nprose\n\n{TRAILER}\n"),
        (
            "Title\n\nBody\n\nSigned-off-by: A <a@b>",
            f"Title\n\nBody\n\nSigned-off-by: A <a@b>\n{TRAILER}\n",
        ),
        (
            "Title\n\nKey: one\n  continued\nOther-Key: two",
            f"Title\n\nKey: one\n  continued\nOther-Key: two\n{TRAILER}\n",
        ),
        (
            "Title\n\nfree text\nSigned-off-by: A <a@b>",
            f"Title\n\nfree text\nSigned-off-by: A <a@b>\n{TRAILER}\n",
        ),
        ("Title\n\n---\n\nAfter a rule", f"Title\n\n---\n\nAfter a rule\n\n{TRAILER}\n"),
        ("Title\n\nhttps://example.com/x", f"Title\n\nhttps://example.com/x\n\n{TRAILER}\n"),
        ("Fix #12\n\n# not a comment", f"Fix #12\n\n# not a comment\n\n{TRAILER}\n"),
        (f"Title\n\n{TRAILER}", f"Title\n\n{TRAILER}\n"),
        (
            "Title\n\nAgentprov-Session: other/9",
            f"Title\n\nAgentprov-Session: other/9\n{TRAILER}\n",
        ),
    ],
)
def test_the_trailer_joins_the_message_as_git_itself_would_put_it(
    repository: Repository, message: str, expected: str
) -> None:
    assert repository.commit("-m", message, env=repository.session()) == expected
    assert TRAILER in repository.trailers()


def test_a_message_without_its_last_newline_is_finished_first(repository: Repository) -> None:
    env = repository.session()
    repository.change()
    repository.git(
        "commit", "-q", "--cleanup=verbatim", "-F", "-", env=env, input=b"Title\n\nKey: value"
    )
    assert repository.message() == f"Title\n\nKey: value\n{TRAILER}\n"


def test_sign_off_and_our_trailer_share_one_block(repository: Repository) -> None:
    repository.commit("-s", "-m", "Title", env=repository.session())
    assert repository.trailers() == ["Signed-off-by: Ada Tester <ada@example.com>", TRAILER]


@pytest.mark.parametrize("extra", [(), ("-v",), ("--cleanup=scissors", "-v")])
def test_an_edited_message_carries_the_trailer_above_comments_and_diff(
    repository: Repository, extra: tuple[str, ...]
) -> None:
    env = {**repository.session(), "GIT_EDITOR": "true"}
    message = repository.commit("-e", *extra, "-m", "Title\n\nSigned-off-by: A <a@b>", env=env)
    assert message == f"Title\n\nSigned-off-by: A <a@b>\n{TRAILER}\n"


@pytest.mark.parametrize("arguments", [(), ("-v",), ("-s",), ("-m", ""), ("-s", "-m", "")])
def test_a_message_that_git_refuses_as_empty_stays_refused(
    repository: Repository, arguments: tuple[str, ...]
) -> None:
    env = {**repository.session(), "GIT_EDITOR": "true"}
    repository.change()
    done = repository.git("commit", *arguments, env=env, check=False)
    assert done.returncode == 1
    assert b"empty commit message" in done.stderr


def test_an_untouched_template_stays_refused(repository: Repository, tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.write_text("Subject\n\nBody\n")
    env = {**repository.session(), "GIT_EDITOR": "true"}
    repository.change()
    done = repository.git("commit", "-t", str(template), env=env, check=False)
    assert done.returncode == 1
    assert b"did not edit" in done.stderr


@pytest.mark.parametrize("number", ["", "x", "-1", "1 2", "1;rm"])
def test_without_a_usable_number_there_is_no_trailer(repository: Repository, number: str) -> None:
    env = repository.session()
    (repository.home / "sessions" / SESSION / "next").write_text(number + "\n")
    assert repository.commit("-m", "Title", env=env) == "Title\n"


# --- rewritten and replayed commits


def test_amending_neither_adds_nor_repeats(repository: Repository) -> None:
    env = repository.session()
    repository.commit("-m", "Title", env=env)
    (repository.home / "sessions" / SESSION / "next").write_text("2\n")
    repository.git("commit", "-q", "--amend", "--no-edit", env=env)
    assert repository.message() == f"Title\n\n{TRAILER}\n"
    repository.commit("-m", "Plain")
    repository.git("commit", "-q", "--amend", "-C", "HEAD", env=env)
    assert repository.message() == "Plain\n"


def test_merges_squashes_and_picks_are_not_marked(repository: Repository) -> None:
    env = repository.session()
    repository.git("checkout", "-qb", "side")
    repository.commit("-m", "On the side", name="side.txt")
    repository.git("checkout", "-q", "main")
    repository.commit("-m", "On main", name="main.txt")
    repository.git("merge", "-q", "--no-ff", "--no-edit", "side", env=env)
    assert repository.trailers() == []
    repository.git("checkout", "-qb", "picks", "HEAD~1")
    repository.git("cherry-pick", "side", env=env)
    assert repository.message() == "On the side\n"
    repository.git("reset", "-q", "--hard", "HEAD~1")
    repository.git("merge", "-q", "--squash", "side")
    repository.git("commit", "-q", "--no-edit", env=env)
    assert repository.trailers() == []


def test_a_rebase_keeps_messages_and_leaves_its_pairs(repository: Repository) -> None:
    repository.session(live=False)
    base = repository.git("rev-parse", "HEAD").stdout.decode().strip()
    for number in range(3):
        repository.commit("-m", f"Step {number}", name=f"{number}.txt")
    old = repository.git("rev-list", "--reverse", f"{base}..HEAD").stdout.decode().split()
    repository.pending("0.txt", "1.txt", "2.txt")
    repository.git("checkout", "-qb", "other", base)
    repository.commit("-m", "Other", name="other.txt")
    assert wait_for(lambda: not (repository.home / "worker").exists())
    already = len(repository.started())
    repository.git("rebase", "-q", "other", "main")
    new = repository.git("rev-list", "--reverse", "other..HEAD").stdout.decode().split()
    assert [repository.message(rev) for rev in new] == ["Step 0\n", "Step 1\n", "Step 2\n"]
    (drop,) = [drop for drop in repository.drops() if drop.event == "post-rewrite"]
    assert b"\nargument rebase\n" in drop.payload
    pairs = drop.payload.partition(b"\n\n")[2].decode().split("\n")
    assert pairs[:-1] == [f"{a} {b}" for a, b in zip(old, new, strict=True)]
    assert wait_for(lambda: len(repository.started()) > already)
    assert wait_for(lambda: not (repository.home / "worker").exists())
    # One worker for the whole rebase (three rounds at most: the stand-in empties nothing).
    assert len(repository.started()) - already <= 3


def test_an_amend_where_no_record_exists_leaves_nothing(repository: Repository) -> None:
    repository.git("commit", "-q", "--amend", "--no-edit")
    assert repository.drops() == []


def test_an_amend_in_a_clone_with_records_is_noted(repository: Repository) -> None:
    repository.git("update-ref", "refs/notes/remotes/origin/agentprov", "HEAD")
    repository.git("pack-refs", "--all")
    repository.git("commit", "-q", "--amend", "-m", "Other words")
    assert [drop.event for drop in repository.drops()] == ["post-rewrite"]


# --- push


def test_a_push_takes_in_what_waits_first_and_goes_on_when_that_fails(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo", tmp_path / "scratch", status=1)
    repository.install()
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote"], check=True)
    repository.git("remote", "add", "origin", str(tmp_path / "remote"))
    repository.git("push", "-q", "origin", "main")
    assert repository.started() == []
    words = "echo a summary nobody asked for\necho why it failed >&2\nexit 1"
    repository.python.write_text(repository.python.read_text().replace("exit 1", words))
    repository.session(live=False)
    repository.commit()
    done = repository.git("push", "-q", "origin", "main")
    assert repository.started() == ["-I -m agentprov drain"]
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "why it failed"
    assert lines[1].startswith("agentprov: records are not complete")
    assert len(lines) == 2
    assert done.stdout == b""


# --- switched off, and out of order


def test_switched_off_hooks_stand_aside_and_say_so(repository: Repository) -> None:
    env = repository.session()
    message = repository.commit("-m", "Off", env={**env, "AGENTPROV_DISABLE": "1"})
    assert message == "Off\n"
    assert [drop.event for drop in repository.session_drops()] == ["disabled"]


def test_switched_off_outside_a_session_one_note_is_enough(repository: Repository) -> None:
    for _ in range(3):
        repository.commit(env={"AGENTPROV_DISABLE": "1"})
    assert [drop.event for drop in repository.drops()] == ["disabled"]
    assert repository.started() == []


def test_zero_does_not_switch_off(repository: Repository) -> None:
    repository.commit(env={**repository.session(), "AGENTPROV_DISABLE": "0"})
    assert repository.trailers() == [TRAILER]


def break_program_syntax(repository: Repository) -> None:
    (repository.home / "hook.sh").write_text("if (((\n")


def break_program_bytes(repository: Repository) -> None:
    (repository.home / "hook.sh").write_bytes(b"\x7fELF\x00\x01" * 100)


def break_program_status(repository: Repository) -> None:
    (repository.home / "hook.sh").write_text("exit 9\n")


def break_directory(repository: Repository) -> None:
    shutil.rmtree(repository.home)


def break_spools(repository: Repository) -> None:
    for place in (repository.home / "spool", repository.home / "sessions" / SESSION / "spool"):
        place.rmdir()
        place.write_text("")


def break_interpreter(repository: Repository) -> None:
    repository.python.unlink()


def break_pending(repository: Repository) -> None:
    (repository.home / "pending" / SESSION).unlink()
    (repository.home / "pending" / SESSION).mkdir()


@pytest.mark.parametrize("where", ["in a session", "after a session"])
@pytest.mark.parametrize(
    "damage",
    [
        break_program_syntax, break_program_bytes, break_program_status, break_directory,
        break_spools, break_interpreter, break_pending,
    ],
)  # fmt: skip
def test_no_damage_to_our_files_fails_a_commit_an_amend_or_a_push(
    repository: Repository, tmp_path: Path, damage, where: str
) -> None:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote"], check=True)
    env = repository.session(live=where == "in a session")
    repository.pending("file.txt")
    if where != "in a session":
        env = {}
    damage(repository)
    repository.commit("-m", "Stands", env=env)
    assert repository.message().startswith("Stands\n")
    repository.git("commit", "-q", "--amend", "--no-edit", env=env)
    repository.git("push", "-q", str(tmp_path / "remote"), "main", env=env)


def test_hooks_work_without_any_environment(repository: Repository) -> None:
    repository.session()
    repository.change()
    git = shutil.which("git")
    assert git is not None
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        [git, *identity, "commit", "-qm", "From a window"],
        cwd=repository.top,
        env={"AGENTPROV_SESSION": SESSION},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert repository.trailers() == [TRAILER]
    assert len(repository.session_drops()) == 1


# --- hooks that were there before


def test_former_hooks_get_their_arguments_input_and_environment(
    tmp_path: Path, repository: Repository
) -> None:
    seen = tmp_path / "seen"
    for name in ("prepare-commit-msg", "post-commit", "post-rewrite", "pre-push"):
        repository.hook(
            name,
            f'{{ echo "== {name}:$#:$1"; echo "index=$GIT_INDEX_FILE"; cat; }} >>"{seen}"',
        )
    repository.install()
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote"], check=True)
    repository.commit(env=repository.session())
    repository.git("commit", "-q", "--amend", "--no-edit")
    repository.git("push", "-q", str(tmp_path / "remote"), "main")
    head = repository.git("rev-parse", "HEAD").stdout.decode().strip()
    text = seen.read_text()
    assert "== prepare-commit-msg:2:.git/COMMIT_EDITMSG\nindex=.git/index\n" in text
    assert "== post-commit:0:\n" in text
    assert f" {head}\n" in text.partition("== post-rewrite:1:amend\n")[2]
    assert f"refs/heads/main {head} refs/heads/main" in text.partition("== pre-push:2:")[2]
    rewrites = [drop for drop in repository.drops() if drop.event == "post-rewrite"]
    assert rewrites[0].payload.endswith(f" {head}\n".encode())


def test_a_former_hook_that_reads_nothing_is_not_disturbed(
    tmp_path: Path, repository: Repository
) -> None:
    repository.hook("pre-push", "exec <&-; exit 0")
    repository.install()
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote"], check=True)
    done = repository.git("push", "-q", str(tmp_path / "remote"), "main")
    assert done.stderr == b""


@pytest.mark.parametrize("status", [1, 3])
def test_a_former_hook_that_says_no_is_obeyed(
    repository: Repository, tmp_path: Path, status: int
) -> None:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote"], check=True)
    repository.hook("pre-push", f"exit {status}")
    repository.install()
    assert repository.git("push", str(tmp_path / "remote"), "main", check=False).returncode == 1
    repository.hook("prepare-commit-msg", f"exit {status}")
    repository.install()
    repository.change()
    done = repository.git("commit", "-qm", "x", check=False, env=repository.session())
    assert done.returncode == 1


def test_our_part_is_done_when_a_former_post_commit_fails(repository: Repository) -> None:
    repository.hook("post-commit", "exit 1")
    repository.install()
    repository.commit(env=repository.session())
    assert len(repository.session_drops()) == 1


def test_a_former_message_hook_writes_first(repository: Repository) -> None:
    repository.hook("prepare-commit-msg", 'printf "\\nReviewed-by: B\\n" >>"$1"')
    repository.install()
    repository.commit("-m", "Title", env=repository.session())
    assert repository.trailers() == ["Reviewed-by: B", TRAILER]


def test_a_former_hook_that_is_not_executable_stays_ignored(repository: Repository) -> None:
    repository.hook("prepare-commit-msg", "exit 1").chmod(0o644)
    repository.install()
    repository.commit()


def test_a_former_hook_may_commit_itself(repository: Repository, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    repository.hook(
        "post-commit",
        f'echo run >>"{runs}"\n[ -e .git/once ] && exit 0\n: >.git/once\n'
        "git commit -q --allow-empty -m Nested",
    )
    repository.install()
    repository.commit("-m", "Outer", env=repository.session())
    assert runs.read_text().split() == ["run", "run"]
    assert repository.trailers("HEAD~1") == [TRAILER]
    assert repository.message().startswith("Nested\n")


def test_a_circle_of_hooks_ends(repository: Repository) -> None:
    path = repository.common / "hooks" / "post-commit"
    (path.with_name("post-commit.agentprov-chained")).symlink_to(path)
    repository.commit(env=repository.session())
    assert len(repository.session_drops()) == 1


def test_a_manager_that_calls_our_program_from_inside_makes_one_event(
    repository: Repository,
) -> None:
    repository.hook(
        "post-commit", 'sh "$(git rev-parse --git-common-dir)/agentprov/hook.sh" post-commit'
    )
    repository.install()
    repository.commit(env=repository.session())
    assert len(repository.session_drops()) == 1


def test_the_program_works_when_a_manager_alone_calls_it(repository: Repository) -> None:
    program = 'sh "$(git rev-parse --git-common-dir)/agentprov/hook.sh"'
    repository.hook("post-commit", f"{program} post-commit")
    repository.hook("prepare-commit-msg", f'{program} prepare-commit-msg "$@"')
    repository.commit(env=repository.session())
    assert repository.trailers() == [TRAILER]
    assert len(repository.session_drops()) == 1


# --- what somebody leaves to hold a commit


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
@pytest.mark.parametrize("name", ["pending/zz", "live/zz", "worker", "hook.sh", "spool/zz.json"])
def test_a_fifo_among_our_files_holds_no_commit(repository: Repository, name: str) -> None:
    place = repository.home / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    (repository.top / "file.txt").write_text("one more\n")
    for words in (["add", "-A"], ["commit", "-qm", "goes on"]):
        subprocess.run(["git", *words], cwd=repository.top, check=True, timeout=20)
    assert repository.message() == "goes on\n"
