"""`agentprov keys`: this user's signing keys."""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from agentprov.cli import output
from agentprov.cli import passphrase as asking
from agentprov.cli.examples import examples
from agentprov.cli.output import safe

if TYPE_CHECKING:
    from agentprov.flows.keys import KeyInfo

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Make, choose, list or show signing keys.",
)


class PurposeOption(StrEnum):
    """What a key is for."""

    human = "human"
    recorder = "recorder"


@app.command(epilog=examples("agentprov keys new human", "agentprov keys new human --passphrase"))
def new(
    purpose: PurposeOption = typer.Argument(..., help="What the key is for."),
    passphrase: bool = typer.Option(
        False, "--passphrase", help="Ask for a passphrase, and keep the key encrypted."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Make an ECDSA P-256 key in a file; one that is there is never replaced."""
    from agentprov.flows import keys
    from agentprov.system import places

    made = keys.new(places.home(), purpose.value, passphrase=passphrase, ask=asking.ask)
    _print([made], as_json)
    return 0


@app.command(
    epilog=examples(
        "agentprov keys use human ssh:",
        "agentprov keys use human ssh:SHA256:FINGERPRINT --confirm",
        "agentprov keys use human file:/home/ada/.ssh/id_ed25519",
    )
)
def use(
    purpose: PurposeOption = typer.Argument(..., help="human; the recorder's is not chosen."),
    uri: str = typer.Argument(..., metavar="URI", help="ssh:, ssh:SHA256:... or file:PATH."),
    confirm: bool = typer.Option(
        False, "--confirm", help="You say that ssh-agent asks before each use (ssh-add -c)."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Choose the key that signs for you from now on; nothing is copied, and none is made.

    `ssh:` alone is the SSH key that your git signs with.
    """
    from agentprov.flows import keys
    from agentprov.system import places

    chosen = keys.use(
        places.home(), purpose.value, uri, confirm=confirm, ask=asking.ask, say=output.say
    )
    _print([chosen], as_json)
    if not as_json:
        output.note("put it into .agentprov/trust.yaml where your signatures shall count")
    return 0


@app.command("list", epilog=examples("agentprov keys list --json"))
def list_(
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """List your keys, how each is kept, and what is wrong with those that cannot sign."""
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
    """Show one key with its public half, in PEM too."""
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
        output.line(f"{key.purpose:9} {key.algorithm or '?'}, custody {key.custody}")
        output.line(f"          {safe(key.uri)}")
        if key.fingerprint:
            output.line(f"          sha256:{key.fingerprint}")
            output.line(f"          {key.openssh_fingerprint}")
            output.line(f"          {key.openssh_key}")
            output.line(f"          for trust.yaml: {base64.b64encode(key.spki).decode('ascii')}")
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
        "opensshFingerprint": key.openssh_fingerprint or None,
        "opensshKey": key.openssh_key or None,
        "problem": key.problem,
        "remedy": key.remedy,
    }
