"""Which lines git adds: many pairs of trees at once, and lines that look like headers."""

from __future__ import annotations

from pathlib import Path

from agentprov.system.git import Git
from agentprov.system.patches import added_in, added_lines
from support.repository import Repository


def _tree(repository: Repository) -> str:
    repository.git("add", "-A")
    return repository.git("write-tree")


def test_many_pairs_are_told_apart(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    git = Git.discover(repository.top)
    repository.write("a.txt", "one\ntwo\nthree")
    repository.write(b"odd \xff\n.txt", "x\n")
    first = _tree(repository)
    repository.write("a.txt", "zero\none\ntwo\nthree\nfour")
    second = _tree(repository)
    repository.git("mv", "a.txt", "b.txt")
    third = _tree(repository)
    empty = git.empty_tree
    assert added_in(git, [(empty, first), (first, second), (second, third), (second, first)]) == [
        {b"a.txt": [(1, 3)], b"odd \xff\n.txt": [(1, 1)]},
        {b"a.txt": [(1, 1), (4, 5)]},
        {},
        {b"a.txt": [(3, 3)]},
    ]
    assert added_lines(git, first, second) == {b"a.txt": [(1, 1), (4, 5)]}
    assert added_lines(git, first, first) == {}


def test_lines_that_look_like_headers_are_lines(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    git = Git.discover(repository.top)
    odd = ["++ b/other.txt", "@ -1 +1 @@", "diff --git a/x b/x", "0" * 40 + " " + "1" * 40]
    repository.write("a.txt", "--- a/x\n-- a/x\n")
    first = _tree(repository)
    repository.write("a.txt", "\n".join(odd))
    repository.write("b.txt", "b\n")
    second = _tree(repository)
    assert added_in(git, [(first, second)]) == [{b"a.txt": [(1, 4)], b"b.txt": [(1, 1)]}]


def test_what_the_users_configuration_says_of_diffs_changes_nothing(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    git = Git.discover(repository.top)
    repository.write("a.txt", "def a():\n    x\n\n\ndef c():\n    x\n")
    first = _tree(repository)
    repository.write("a.txt", "def a():\n    x\n\n\ndef b():\n    x\n\n\ndef c():\n    x\n")
    second = _tree(repository)
    before = added_in(git, [(first, second)])
    repository.git("config", "diff.indentHeuristic", "false")
    repository.git("config", "diff.noprefix", "true")
    repository.git("config", "diff.algorithm", "histogram")
    assert added_in(git, [(first, second)]) == before != [{}]


def test_no_attribute_hides_the_lines_of_a_text(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    git = Git.discover(repository.top)
    repository.write("a.py", "one\n")
    repository.write("moved.py", "".join(f"line {number}\n" for number in range(20)))
    repository.write("binary.dat", b"\0\n")
    first = _tree(repository)
    repository.write("a.py", "one\ntwo\n")
    repository.write("new.py", "new\n")
    repository.write("binary.dat", b"\0\n\n")
    repository.git("mv", "moved.py", "[odd] name.py")
    with (repository.top / "[odd] name.py").open("a") as file:
        file.write("more\n")
    second = _tree(repository)
    expected = {b"a.py": [(2, 2)], b"new.py": [(1, 1)], b"[odd] name.py": [(21, 21)]}
    for place in (".gitattributes", ".git/info/attributes"):
        repository.write(place, "*.py -diff\n[[]odd* binary\n")
        assert added_lines(git, first, second) == expected
        assert added_in(git, [(first, second), (second, first)])[0] == expected
        (repository.top / place).unlink()
