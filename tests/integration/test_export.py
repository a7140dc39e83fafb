"""`agentprov show --bundles`: the stored lines as files, for programs that know no git notes."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import agentprov, statement
from support.repository import Repository

SCRIPT = "echo a >a; git add a; git commit -qm a; echo b >b; git add b; git commit -qm b"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two commits of one session under a plan, and one before it without a record."""
    made = Repository(tmp_path / "repo")
    made.write("PLAN.md", "# Plan\n\nLetters.\n")
    made.commit("first")
    assert agentprov("plan", "sign", "PLAN.md", cwd=made.top).status == 0
    ran = agentprov("run", "--plan", "PLAN.md", "--", "sh", "-c", SCRIPT, cwd=made.top)
    assert ran.status == 0, ran.err
    return made


def stored(repository: Repository) -> set[str]:
    """Give every line of every note, as it was signed."""
    return set(repository.bundles())


def kinds(folder: Path) -> list[str]:
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir())


def test_a_commits_records_and_those_of_its_session_come_out_byte_for_byte(
    repository: Repository, tmp_path: Path
) -> None:
    lines = stored(repository)
    for revision in ("HEAD", "HEAD~1"):
        folder = tmp_path / "made" / revision
        answer = agentprov("show", revision, "--bundles", str(folder), cwd=repository.top)
        assert answer.status == 0, answer.err
        assert kinds(folder) == ["generation", "plan", "session-close", "session-open"]
        assert len(answer.out.splitlines()) == 4
        for path in folder.iterdir():
            text = path.read_text()
            assert text.endswith("\n")
            assert text.rstrip("\n") in lines
            assert path.name in answer.out
        (generation,) = folder.glob("generation-*.sigstore.json")
        commit = repository.git("rev-parse", revision).strip()
        subjects = statement(generation.read_text())["subject"]
        assert {"gitCommit": commit} in [subject["digest"] for subject in subjects]


def test_of_a_rewritten_commit_what_it_was_made_of_comes_out_too(
    repository: Repository, tmp_path: Path
) -> None:
    assert agentprov("init", "--commit", cwd=repository.top).status == 0
    repository.git("reset", "-q", "--hard", "HEAD~1")
    before = tmp_path / "before"
    assert agentprov("show", "--bundles", str(before), cwd=repository.top).status == 0
    (generation,) = before.glob("generation-*")
    for subject in ("again", "and again"):
        repository.git("commit", "-q", "--amend", "-m", subject)
        assert agentprov("drain", cwd=repository.top).status == 0
    after = tmp_path / "after"
    assert agentprov("show", "--bundles", str(after), cwd=repository.top).status == 0
    assert kinds(after) == [
        *("generation", "plan", "rewrite", "rewrite", "session-close", "session-open")
    ]
    assert (after / generation.name).read_text() == generation.read_text()


def test_what_is_no_bundle_stays_out_and_a_second_signature_gets_a_number(
    repository: Repository, tmp_path: Path
) -> None:
    (plan,) = [line for line in stored(repository) if "/plan/" in str(statement(line))]
    folder = tmp_path / "made"
    agentprov("show", "--bundles", str(folder), cwd=repository.top)
    (first,) = folder.glob("plan-*")
    # The hint is not signed: another bundle around the same statement.
    other = plan.replace('"hint":"', '"hint":"0')
    for line in ("no bundle", other):
        repository.git("notes", "--ref=agentprov", "append", "-m", line, "HEAD")
    answer = agentprov("show", "--bundles", str(folder), "--json", cwd=repository.top).json()
    assert answer["schema"] == "agentprov-bundles/1"
    assert answer["commit"] == repository.git("rev-parse", "HEAD").strip()
    assert [item["kind"] for item in answer["bundles"]] == [
        *("generation", "plan", "plan", "session-close", "session-open")
    ]
    names = [Path(item["file"]).name for item in answer["bundles"]]
    assert names[1:3] == [first.name, first.name.replace(".sig", "-2.sig")]
    assert {item["digest"]["sha256"][:16] for item in answer["bundles"][1:3]} == {
        first.name.split("-")[1].split(".")[0]
    }
    texts = {Path(item["file"]).read_text().rstrip("\n") for item in answer["bundles"][1:3]}
    assert texts == {plan, other}


def test_no_record_no_commit_and_no_place_to_write_are_said(
    repository: Repository, tmp_path: Path
) -> None:
    def show(*arguments: str) -> tuple[int, str, str]:
        answer = agentprov("show", *arguments, cwd=repository.top)
        return answer.status, answer.out, answer.err

    made = str(tmp_path / "made")
    status, out, err = show("HEAD~2", "--bundles", made)
    assert (status, out) == (0, "")
    assert "nothing is recorded of this commit here" in err
    assert not Path(made).exists()
    status, _, err = show("nowhere", "--bundles", made)
    assert status == 1
    assert "'nowhere' is no commit here" in err
    (tmp_path / "file").write_text("in the way")
    status, _, err = show("HEAD", "--bundles", str(tmp_path / "file"))
    assert status == 1
    assert "cannot write" in err
