"""The project's Markdown pages: their text, their links, and the command lines in them."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

with warnings.catch_warnings():
    # What typer below 0.26 takes from click 8.5 is deprecated there.
    warnings.simplefilter("ignore", DeprecationWarning)
    import typer

    from agentprov.cli import app
    from agentprov.cli.exit_codes import MEANING

__all__ = ["MEANING", "TOP"]

TOP = Path(__file__).resolve().parents[2]
_PARTS = ("docs", "hooks", "mcp_server", "benchmarks", "tests")
_FENCE = re.compile(r"^ *(```+|~~~+)")
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_START = re.compile(r"(?:^|\$ |run: |&& |; |-- )agentprov +([-a-z].*)$")
_SUBSTITUTION = re.compile(r"\$\([^()]*\)")
_END = re.compile(r" {2,}|\s*(?:\||>|&&|;|\s#)")


@dataclass(frozen=True)
class CommandLine:
    """One `agentprov ...` line of a page; `whole` when it is shown as something to type."""

    page: str
    text: str
    whole: bool


def pages() -> list[Path]:
    """Give every Markdown page that is ours."""
    found = sorted(TOP.glob("*.md"))
    for part in _PARTS:
        found += sorted((TOP / part).rglob("*.md"))
    return found


def name_of(page: Path) -> str:
    """Give a page's path from the top, for messages."""
    return page.relative_to(TOP).as_posix()


def lines(page: Path) -> Iterator[tuple[bool, str]]:
    """Give (inside a fenced block, line); shell lines that go on are joined."""
    fenced = False
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        else:
            yield fenced, line


def links(page: Path) -> list[str]:
    """Give the targets of a page's links, outside code."""
    prose = "\n".join(_SPAN.sub("", line) for fenced, line in lines(page) if not fenced)
    return _LINK.findall(prose)


def anchors(page: Path) -> set[str]:
    """Give the anchors that a forge makes of a page's headings."""
    found = set()
    for fenced, line in lines(page):
        if not fenced and line.startswith("#"):
            title = line.lstrip("#").strip().lower().replace("`", "")
            found.add(re.sub(r"[^\w\- ]", "", title).replace(" ", "-"))
    return found


def spans(page: Path) -> list[str]:
    """Give the inline code of a page."""
    return [span for fenced, line in lines(page) if not fenced for span in _SPAN.findall(line)]


def command_lines(page: Path) -> list[CommandLine]:
    """Give the `agentprov` command lines of a page, without comments, pipes and redirections."""
    found = []
    for fenced, line in lines(page):
        if not fenced:
            found += [(span, False) for span in _SPAN.findall(line)]
        elif not line.startswith("agentprov presentation "):
            found.append((line.strip(), True))
    result = []
    for text, whole in found:
        match = _START.search(_SUBSTITUTION.sub("VALUE", text))
        if match:
            result += [
                CommandLine(name_of(page), alternative, whole)
                for alternative in _alternatives(_END.split(match[1], maxsplit=1)[0])
            ]
    return result


def _alternatives(text: str) -> list[str]:
    """Write `plan sign|lint` out as two command lines."""
    for word in text.split():
        if re.fullmatch(r"[a-z]+([|/][a-z]+)+", word):
            return [text.replace(word, one, 1) for one in re.split(r"[|/]", word)]
    return [text]


def root() -> click.Group:
    """Give the command line as click sees it."""
    found = typer.main.get_command(app)
    assert isinstance(found, click.Group)
    return found


def parse(text: str, *, whole: bool = True) -> click.Command:
    """Parse a command line without running it and give its command; raises click.UsageError.

    Names in capitals stand for any value. A line that is not `whole` is a mention, and may leave
    required arguments out.
    """
    words = shlex.split(text.rstrip(".,:"))
    command: click.Command = root()
    parent: click.Context | None = None
    name = "agentprov"
    while True:
        try:
            context = command.make_context(name, list(words), parent)
        except click.exceptions.Exit:
            return command
        except (click.exceptions.NoArgsIsHelpError, click.MissingParameter):
            if whole:
                raise
            return command
        if not isinstance(command, click.Group):
            return command
        words = [*context._protected_args, *context.args]
        if not words:
            return command
        found, child, words = command.resolve_command(context, words)
        assert found is not None
        assert child is not None
        name, command, parent = found, child, context
