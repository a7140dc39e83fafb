"""`agentprov keys`: the local signing keys."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.output import safe

if TYPE_CHECKING:
    from agentprov.flows.keys import KeyInfo

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Make, list or show signing keys.",
)


class PurposeOption(StrEnum):
    """What a key is for."""

    human = "human"
    recorder = "recorder"


@app.command(epilog=examples("agentprov keys new human"))
def new(
    purpose: PurposeOption = typer.Argument(..., help="What the key is for."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Make a local ECDSA P-256 key; one that is there is never replaced."""
    from agentprov.flows import keys
    from agentprov.system import places

    _print([keys.new(places.home(), purpose.value)], as_json)
    return 0


@app.command("list", epilog=examples("agentprov keys list --json"))
def list_(
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """List the local keys, and what is wrong with those that cannot sign."""
    from agentprov.flows import keys
    from agentprov.system import places

    found = keys.list_keys(places.home())
    _print(found, as_json)
    if not found and not as_json:
        output.note("no keys yet; they are made when they are first needed")
    return 0


@app.command(epilog=examples("agentprov keys show human"))
def show(
    name: str = typer.Argument(..., metavar="PURPOSE|FINGERPRINT", help="Which key."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Show one local key with its public half in PEM."""
    from agentprov.flows import keys
    from agentprov.system import places

    found = keys.show(places.home(), name)
    _print([found], as_json)
    if not as_json and found.public_key:
        output.line(found.public_key.rstrip("\n"))
    return 0


def _print(found: list[KeyInfo], as_json: bool) -> None:
    if as_json:
        output.document({"schema": "agentprov-keys/1", "keys": [_plain(key) for key in found]})
        return
    for key in found:
        output.line(f"{key.purpose:9} {key.algorithm or '?'}  sha256:{key.fingerprint[:16]}...")
        output.line(f"          {safe(str(key.path))}")
        if key.problem:
            output.line(f"          cannot sign: {safe(key.problem)}")
            output.line(f"          {safe(key.remedy or '')}")


def _plain(key: KeyInfo) -> dict[str, Any]:
    return {
        "purpose": key.purpose,
        "uri": key.uri,
        "custody": key.custody,
        "algorithm": key.algorithm or None,
        "fingerprint": {"sha256": key.fingerprint} if key.fingerprint else None,
        "hint": key.hint or None,
        "publicKey": key.public_key or None,
        "problem": key.problem,
        "remedy": key.remedy,
    }
