"""`agentprov query`: every line that a model, agent, plan or person had part in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.paging import page
from agentprov.cli.reading import taking_in

if TYPE_CHECKING:
    from agentprov.flows.query import Part, Scope
    from agentprov.query.asking import Hit

app = typer.Typer(rich_markup_mode=None, add_completion=False)
_MANY = 1_000


class Form(StrEnum):
    """The formats of an answer."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    SARIF = "sarif"


@app.command(
    epilog=examples(
        "agentprov query --model claude-sonnet-4",
        "agentprov query --model 'anthropic/claude-*' --format sarif",
        "agentprov query --agent claude-code@2.1.3 --path 'src/**' --history",
        "agentprov query --model gpt-5 --repository ../a --repository ../b --json",
    )
)
def query(
    models: list[str] = typer.Option(
        [], "--model", metavar="MODEL", help="A model: family, version, exact id, range, pattern."
    ),
    agents: list[str] = typer.Option(
        [], "--agent", metavar="AGENT", help="An agent: name or package URL, @VERSION or range."
    ),
    agent_digests: list[str] = typer.Option(
        [], "--agent-digest", metavar="DIGEST", help="The sha256 of an agent's program."
    ),
    plans: list[str] = typer.Option(
        [], "--plan", metavar="PLAN", help="A plan: name, digest, or words that it holds."
    ),
    authors: list[str] = typer.Option(
        [], "--author", metavar="TEXT", help="Part of the commit author's name or address."
    ),
    reviewers: list[str] = typer.Option(
        [], "--reviewer", metavar="TEXT", help="Part of the name of who decided about the commit."
    ),
    servers: list[str] = typer.Option(
        [], "--mcp-server", metavar="SERVER", help="An MCP server: name, package URL or digest."
    ),
    instructions: list[str] = typer.Option(
        [], "--instruction", metavar="DIGEST", help="The sha256 of a file that steered the agent."
    ),
    hosts: list[str] = typer.Option(
        [], "--host", metavar="HOST", help="The host at which the model was asked."
    ),
    sessions: list[str] = typer.Option([], "--session", metavar="ID", help="A session."),
    origins: list[str] = typer.Option(
        [], "--origin", metavar="ORIGIN", help="model, command, agent, human or unknown."
    ),
    paths: list[str] = typer.Option(
        [], "--path", "--file", metavar="PATTERN", help="Files, as policies match them: 'src/**'."
    ),
    since: str | None = typer.Option(None, "--since", metavar="TIME", help="Committed since then."),
    until: str | None = typer.Option(None, "--until", metavar="TIME", help="Committed until then."),
    revision: str = typer.Option(
        "HEAD", "--at", metavar="REV", help="Lines that stand at this revision."
    ),
    history: bool = typer.Option(False, "--history", help="Everything ever, gone or not."),
    repositories: list[Path] = typer.Option(
        [], "--repository", metavar="DIR", help="Other repositories than this one; again for more."
    ),
    index: Path | None = typer.Option(None, "--index", metavar="FILE", help="Another index."),
    rebuild: bool = typer.Option(False, "--rebuild", help="Judge everything anew."),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    form: Form | None = typer.Option(None, "--format", help="Put the answer out in this format."),
    as_json: bool = typer.Option(False, "--json", help="Short for --format json."),
) -> int:
    """Find lines that still stand, or everything ever, by what is recorded of them.

    Different options must all hold; of one option given again any may. What is certain is kept
    apart from what is merely possible. Exits 0 whether anything was found or not.
    """
    from agentprov.errors import UsageError
    from agentprov.flows import query as flow
    from agentprov.formats.vocabulary import ORIGINS
    from agentprov.query.asking import Question

    if as_json and form not in (None, Form.JSON):
        raise UsageError("--json and --format name two formats", hint="leave one of them out")
    form = Form.JSON if as_json else form or Form.TEXT
    for word in origins:
        if word not in ORIGINS:
            raise UsageError(f"{word!r} is no origin", hint=", ".join(ORIGINS))
    question = Question(
        models=tuple(models),
        agents=tuple(agents),
        agent_digests=tuple(agent_digests),
        plans=tuple(plans),
        authors=tuple(authors),
        reviewers=tuple(reviewers),
        servers=tuple(servers),
        instructions=tuple(instructions),
        hosts=tuple(hosts),
        sessions=tuple(sessions),
        origins=tuple(origins),
        paths=tuple(paths),
        since=None if since is None else flow.seconds(since),
        until=None if until is None else flow.seconds(until, end=True),
    )
    scope = scope_of(repositories, trust, index, None if history else revision, rebuild=rebuild)
    _put(flow.query(scope, question, output.say), form)
    return 0


def scope_of(
    repositories: Sequence[Path],
    trust: Path | None,
    index: Path | None,
    revision: str | None,
    *,
    rebuild: bool,
) -> Scope:
    """Give where to look, with all that waits there taken in."""
    from agentprov.flows import query as flow
    from agentprov.flows.index import forget, usable_place

    worlds = flow.worlds_of(repositories or [Path.cwd()])
    for world in worlds:
        taking_in(world)
    scope = flow.Scope(worlds, trust, index or usable_place(), revision)
    if scope.place is None:
        output.note("there is no place for an index here; it is made in memory for this once")
    elif rebuild:
        forget(worlds, scope.place)
    return scope


def _put(parts: Sequence[Part], form: Form) -> None:
    from agentprov.flows import query as flow

    many = sum(len(part.hits) for part in parts) > _MANY
    if form is Form.JSON:
        output.document(flow.document(parts), compact=many)
    elif form is Form.SARIF:
        from agentprov.flows.query_sarif import query_sarif

        output.document(query_sarif(parts), compact=many)
    elif form is Form.CSV:
        output.line(_csv(flow.COLUMNS))
        for part in parts:
            for hit in part.hits:
                output.line(_csv(flow.cells(part, hit)))
    else:
        page(_text(parts))


def _csv(cells: Sequence[str]) -> str:
    return ",".join(
        f'"{text.replace(chr(34), chr(34) * 2)}"' if set(text) & set('",') else text
        for text in map(safe, cells)
    )


def _text(parts: Sequence[Part]) -> Iterator[str]:
    from agentprov.flows.query import totals

    for part in parts:
        where = f"at {part.revision[:12]}" if part.revision else "in all history"
        yield (
            f"{safe(str(part.world.git.top))} {where}, as of {part.state.as_of}, "
            f"trust: {safe(part.state.trust_source)}"
        )
        for certain in (True, False):
            hits = [hit for hit in part.hits if hit.certain is certain]
            if hits:
                colour = "31;1" if certain else "33"
                yield "  " + output.paint("certain" if certain else "possible", colour)
                yield from ("    " + _hit(hit) for hit in hits)
        if part.unnamed:
            yield f"  of {part.unnamed} sessions here nobody could name every model that answered"
        if part.absent:
            yield (
                f"  {part.absent} commits that records speak of could not be looked at: they, or "
                "their parents, are not in this clone"
            )
    for name, counted in totals(parts).items():
        told = ", ".join(f"{number} {what}" for what, number in counted.items())
        yield f"{name}: {told}"


def _hit(hit: Hit) -> str:
    from agentprov.cli.blame import short_agent

    place = safe(hit.path)
    if hit.start is not None:
        place += f":{hit.start}" + (f"-{hit.end}" if hit.end != hit.start else "")
    words = [place, hit.commit[:8], hit.origin + (f" [{hit.basis}]" if hit.basis else "")]
    words += [safe(hit.model)] if hit.model else []
    words.append(safe(short_agent(hit.agent)) or "agent unknown")
    words += [f"plan {safe(hit.plan)}"] if hit.plan else []
    words.append(safe(hit.author.partition(" <")[0]))
    words += [f"({safe(hit.why)})"] if hit.why else []
    return "  ".join(words)
