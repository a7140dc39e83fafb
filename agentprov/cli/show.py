"""`agentprov show`: what is recorded of one commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe
from agentprov.cli.reading import taking_in

if TYPE_CHECKING:
    from agentprov.flows.world import World

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "agentprov show",
        "agentprov show HEAD~2 --json",
        "agentprov show HEAD --bundles records",
    )
)
def show(
    revision: str = typer.Argument("HEAD", metavar="[REV]", help="The commit."),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the change."
    ),
    bundles: Path | None = typer.Option(
        None,
        "--bundles",
        metavar="DIR",
        help="Write the signed bundles to files, unverified, for other tools; show nothing else.",
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Show what is recorded of one commit: plan, agent, models, files, origins.

    Shows only what holds; defects are findings. Exits 0 whenever the commit is there: `verify`
    judges.
    """
    from agentprov.flows.show import show as look
    from agentprov.flows.verify import trust_for
    from agentprov.flows.world import World

    world = World.here()
    taking_in(world)
    if bundles is not None:
        return _export(world, revision, bundles, as_json)
    found = look(world, revision, trust_for(world, trust))
    if as_json:
        output.document(found)
    else:
        _print(found)
    return 0


def _export(world: World, revision: str, folder: Path, as_json: bool) -> int:
    from agentprov.flows.export import document, export

    exported = export(world, revision, folder)
    if as_json:
        output.document(document(exported))
        return 0
    for item in exported.files:
        output.line(f"{item.kind:13} sha256:{item.payload_sha256}  {safe(str(item.file))}")
    if not exported.files:
        output.note("nothing is recorded of this commit here")
    return 0


_ROLES = {"instruction": "reads", "settings": "config", "mcp-configuration": "config"}


def _print(found: Mapping[str, Any]) -> None:
    output.line(f"commit {found['commit']}  {found['coverage']}")
    for link in found["rewrittenFrom"]:
        again = "made again here" if link["replayed"] else "not made again here"
        olds = ", ".join(oid[:12] for oid in link["commits"])
        output.line(f"  {link['method']} of {olds}, {again}, signed by {safe(link['signer'])}")
    for item in found["content"]:
        told = "as a link says" if found["rewrittenFrom"] else "which no link says"
        output.line(f"  content of {item['commit'][:12]} ({item['key']}), {told}")
    for item in found["candidates"]:
        output.line(f"  perhaps of {item['commit'][:12]} (session {safe(item['session'])})")
    for session in found["sessions"]:
        _print_session(session)
    for finding in found["findings"]:
        output.line(f"{finding['severity']}: {finding['code']}: {safe(finding['message'])}")


def _print_session(session: Mapping[str, Any]) -> None:
    state = "" if session["complete"] else "  (not closed by its recorder)"
    made = f", as {session['from'][:12]}" if session["from"] else ""
    output.line(f"session {session['id']}, commit {session['sequence']} of it{made}{state}")
    plan = session["plan"]
    if plan:
        signer = safe(plan["signer"] or "nobody whom the session saw sign")
        output.line(f"  plan    {safe(plan['name'])}, signed by {signer} at {plan['signedAt']}")
    else:
        output.line("  plan    none")
    agent = session["agent"]
    name = safe(agent["purl"] or agent["name"] or "unknown")
    output.line(f"  agent   {name}  {_digest(agent['digest'])}  [{agent['basis']}]")
    for model in session["models"]:
        if model["served"] is None:
            output.line(f"  model   unknown: {safe(model['why'])} ({safe(model['claim'])})")
        else:
            asked = model["requested"]
            also = f", asked for {safe(asked)}" if asked and asked != model["served"] else ""
            output.line(
                f"  model   {safe(model['provider'])}/{safe(model['served'])}{also}"
                f"  {model['role']}  [{model['basis']}]"
            )
            if model["digest"]:
                output.line(
                    f"  weights {_digest(model['digest'])}  {len(model['weights'])} files"
                    f"  [{model['digestBasis']}]"
                )
            elif model["weightsWhy"]:
                output.line(f"  weights unknown: {safe(model['weightsWhy'])}")
    for server in session["mcpServers"]:
        output.line(f"  mcp     {safe(server['name'])}  {_digest(server['digest'])}")
    for item in session["instructions"]:
        word = _ROLES.get(item["role"], item["role"])
        output.line(f"  {word:7} {safe(item['path'])}  {_digest(item['digest'])}")
    if session["declarations"]:
        kinds = Counter(item["kind"] for item in session["declarations"])
        counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        output.line(f"  said    {safe(counted)}  [declared]")
    for gap in session["gaps"]:
        detail = f": {safe(gap['detail'])}" if gap["detail"] else ""
        output.line(f"  gap     {safe(gap['why'])}{detail}")
    for file in session["files"]:
        counted = ", ".join(
            f"{count} {origin}" for origin, count in file["origins"].items() if count
        )
        output.line(f"  {file['op']:7} {safe(file['path'])}  {counted}".rstrip())


def _digest(digest: Mapping[str, str] | None) -> str:
    value = (digest or {}).get("sha256")
    return f"sha256:{value[:16]}..." if value else "no digest"
