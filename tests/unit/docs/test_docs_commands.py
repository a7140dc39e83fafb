"""Every command line that a page or a help text shows is one that the program understands."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from types import ModuleType

import click
import pytest

from support import documents
from support.documents import TOP, CommandLine

SHOWN = [line for page in documents.pages() for line in documents.command_lines(page)]


def commands() -> Iterator[tuple[str, click.Command]]:
    def below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=path)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                yield from below(f"{path} {name}", child)

    yield from below("agentprov", documents.root())


COMMANDS = list(commands())


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    place = TOP / "scripts" / "make_cli_docs.py"
    spec = importlib.util.spec_from_file_location("make_cli_docs", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "line",
    SHOWN,
    ids=[f"{line.page}: {line.text}".encode("ascii", "replace").decode() for line in SHOWN],
)
def test_a_command_line_of_a_page_parses(line: CommandLine) -> None:
    documents.parse(line.text, whole=line.whole)


def test_the_pages_show_command_lines_at_all() -> None:
    assert len({line.page for line in SHOWN}) >= 10
    assert "run --plan PLAN.md -- claude" in {line.text for line in SHOWN}


@pytest.mark.parametrize(
    "wrong",
    [
        "verify --nonsense",
        "nonsense",
        "plan nonsense",
        "keys new nobody",
        "log -n none",
        "plan sign",
    ],
)
def test_a_wrong_command_line_would_be_noticed(wrong: str) -> None:
    with pytest.raises(click.UsageError):
        documents.parse(wrong)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_command_says_what_it_does_and_shows_an_example_that_parses(
    path: str, command: click.Command
) -> None:
    assert command.help or command.short_help
    if isinstance(command, click.Group) and path != "agentprov":
        return
    if command.hidden or path == "agentprov drain":
        return
    shown = [line.strip() for line in (command.epilog or "").splitlines()]
    own = [line for line in shown if line.startswith("agentprov")]
    assert own, f"{path} has no example"
    for line in own:
        documents.parse(line.removeprefix("agentprov "))


def test_every_page_of_a_command_is_what_the_generator_writes(generator: ModuleType) -> None:
    if tuple(int(part) for part in click_version().split(".")[:2]) >= (8, 5):
        pytest.skip("click 8.5 drops the help of arguments that typer gives it")
    there = {path.name: path.read_text() for path in generator.FOLDER.glob("*.md")}
    assert there == generator.pages()


def test_there_is_a_page_for_every_command() -> None:
    pages = {path.stem for path in (TOP / "docs" / "cli").glob("*.md")} - {"README"}
    assert pages == {path.split()[1] for path, _ in COMMANDS if " " in path}


def click_version() -> str:
    from importlib.metadata import version

    return version("click")
