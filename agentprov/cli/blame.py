"""`agentprov blame`: person, agent, model, plan and origin of each line of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click
import typer
from typer.core import TyperCommand

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.paging import page
from agentprov.cli.reading import taking_in

if TYPE_CHECKING:
    from agentprov.flows.blame import Answer, Told
    from agentprov.verify.trust import TrustRoot

app = typer.Typer(rich_markup_mode=None, add_completion=False)
_SCORED = re.compile(r"-([MC])([0-9]+)")
_COLOURS = {"model": "36", "agent": "31;1", "human": "32", "command": "33", "unknown": "2"}
_WIDEST = {"model": 36, "agent": 24, "plan": 20, "author": 18}


class _Command(TyperCommand):
    """Takes git's ``-M20`` and ``-C40``, whose number may only stand right behind the letter."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        spelled: list[str] = []
        for word in args[:end]:
            found = _SCORED.fullmatch(word)
            spelled += (
                [f"-{found[1]}", f"--score-{found[1].lower()}", found[2]] if found else [word]
            )
        return super().parse_args(ctx, [*spelled, *args[end:]])


@app.command(
    cls=_Command,
    epilog=examples(
        "agentprov blame src/app.py",
        "agentprov blame -L 10,20 -w -M v1.0 -- src/app.py",
        "agentprov blame -L :parse --json src/app.py",
        "agentprov blame --ignore-revs-file .git-blame-ignore-revs --porcelain src/app.py",
    ),
)
def blame(
    words: list[str] = typer.Argument(
        ..., metavar="[REV|A..B] [--] FILE", help="The file, and where to look at it."
    ),
    lines: list[str] = typer.Option(
        [], "-L", metavar="RANGE", help="Only these lines, as git has it: 1,9  /re/,+5  :function."
    ),
    whitespace: bool = typer.Option(False, "-w", help="White space does not count."),
    moves: bool = typer.Option(False, "-M", help="Follow lines moved in the file (-M20: score)."),
    copies: int = typer.Option(
        0, "-C", count=True, help="Follow lines from other files; more with -C -C (-C40: score)."
    ),
    move_score: int | None = typer.Option(None, "--score-m", hidden=True),
    copy_score: int | None = typer.Option(None, "--score-c", hidden=True),
    ignored: list[str] = typer.Option(
        [], "--ignore-rev", metavar="REV", help="Look past a commit."
    ),
    ignored_file: str | None = typer.Option(
        None, "--ignore-revs-file", metavar="FILE", help="Look past the commits in a file."
    ),
    since: str | None = typer.Option(None, "--since", metavar="DATE", help="Look no further back."),
    first_parent: bool = typer.Option(False, "--first-parent", help="Follow first parents only."),
    reverse: bool = typer.Option(
        False, "--reverse", help="With A..B: which commit had each line of A last."
    ),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    index: Path | None = typer.Option(None, "--index", metavar="FILE", help="Another index."),
    porcelain: bool = typer.Option(
        False, "--porcelain", help="As git's, with agentprov- headers for each line."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Show for each line of a file who wrote it: person, agent, model, origin, plan.

    git decides which commit a line came from, by its own options; the records that hold say the
    rest. Text is cut to the width of its column; --json and --porcelain are not.
    """
    from agentprov.errors import UsageError
    from agentprov.flows import blame as flow
    from agentprov.flows.world import World
    from agentprov.system import places

    if porcelain and as_json:
        raise UsageError("--json and --porcelain name two formats", hint="leave one of them out")
    if len(words) > 2:
        raise UsageError("there is one file to name, and at most one revision or range before it")
    world = World.here()
    taking_in(world)
    choice = flow.Choice(
        path=words[-1],
        revision=words[0] if len(words) == 2 else None,
        lines=tuple(lines),
        whitespace=whitespace,
        moves=moves,
        move_score=move_score,
        copies=copies,
        copy_score=copy_score,
        ignored=tuple(ignored),
        ignored_file=ignored_file,
        since=since,
        first_parent=first_parent,
        reverse=reverse,
        cwd=Path.cwd(),
    )

    def root() -> TrustRoot:
        from agentprov.flows.verify import trust_for

        return trust_for(world, trust)

    answer = flow.blame(world, choice, root, index or places.index())
    if as_json:
        output.document(flow.document(answer))
    elif porcelain:
        for line in _porcelain(answer):
            output.line(line)
    else:
        page(_table(answer))
    return 0


def _table(answer: Answer) -> Iterator[str]:
    from agentprov.query.blame import NOT_COMMITTED

    # Many lines share one answer about one commit.
    known: dict[tuple[object, str], dict[str, str]] = {}
    shown = []
    for told in answer.lines:
        key = (told.answer, told.line.commit)
        cells = known.get(key)
        if cells is None:
            cells = known[key] = _cells(answer, told)
        shown.append(cells)
    widths = {
        name: min(most, max((len(cells[name]) for cells in known.values()), default=0))
        for name, most in _WIDEST.items()
    }
    heads: dict[int, str] = {}
    digits = len(str(answer.lines[-1].line.number)) if answer.lines else 1
    for told, cells in zip(answer.lines, shown, strict=True):
        head = heads.get(id(cells))
        if head is None:
            words = [output.paint(f"{told.answer.origin:7}", _COLOURS[told.answer.origin])]
            words += [_fit(cells[name], width) for name, width in widths.items() if width]
            head = heads[id(cells)] = " ".join([*words, cells["date"]])
        oid = told.last or told.line.commit
        short = "-" * 8 if oid in NOT_COMMITTED else oid[:8]
        content = told.line.content.decode("utf-8", "backslashreplace").removesuffix("\r")
        yield f"{short} {head} {told.line.number:>{digits}}) {safe(content.expandtabs(8))}"


def _cells(answer: Answer, told: Told) -> dict[str, str]:
    from agentprov.query.blame import NOT_COMMITTED

    said = told.answer
    source = said.source
    commit = answer.commits.get(told.line.commit)
    absent = told.line.commit in NOT_COMMITTED
    return {
        "model": safe(said.model or (f"({said.why})" if said.why else "")),
        "agent": safe(short_agent(source.agent)) if source else "",
        "plan": safe(source.plan or "") if source else "",
        "author": safe(commit.author.partition(" <")[0]) if commit and not absent else "",
        "date": " " * 10 if commit is None or absent else _day(commit.seconds, commit.zone),
    }


def short_agent(agent: str) -> str:
    """Give name and version of an agent's package URL, for people; anything else as it is."""
    from urllib.parse import unquote

    return unquote(agent.rsplit("/", 1)[-1]) if agent.startswith("pkg:") else agent


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "~"


def _day(seconds: int, zone: str) -> str:
    found = re.fullmatch(r"([+-])([0-9]{2})([0-5][0-9])", zone)
    minutes = (int(found[2]) * 60 + int(found[3])) * (-1 if found[1] == "-" else 1) if found else 0
    try:
        at = datetime.fromtimestamp(seconds, timezone(timedelta(minutes=minutes)))
    except (OverflowError, OSError, ValueError):
        return "?" * 10
    return f"{at:%Y-%m-%d}"


def _porcelain(answer: Answer) -> Iterator[str]:
    """Give git's own lines with ours behind its headers; nothing raw, so contents are escaped."""
    for told in answer.lines:
        for header in told.line.headers:
            yield safe(header.decode("utf-8", "backslashreplace"))
        said, source = told.answer, told.answer.source
        headers: Sequence[tuple[str, str | None]] = (
            ("origin", said.origin),
            ("basis", said.basis),
            ("model", said.model),
            ("why", said.why),
            ("agent", source.agent if source else None),
            ("plan", source.plan if source else None),
            ("session", source.session if source else None),
            ("record", f"sha256:{source.digest}" if source else None),
            ("last-commit", told.last),
        )
        for name, value in headers:
            if value:
                yield f"agentprov-{name} {safe(value)}"
        content = told.line.content.decode("utf-8", "backslashreplace")
        yield "\t" + "\t".join(safe(part) for part in content.split("\t"))
