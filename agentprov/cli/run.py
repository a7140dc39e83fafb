"""`agentprov run`: an agent, recorded; its exit status is ours."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import click
import typer

from agentprov.cli import exit_codes, output
from agentprov.cli.examples import examples
from agentprov.errors import AgentprovError, CannotStart

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Gateway(StrEnum):
    """Whether to stand between the agent and its model."""

    auto = "auto"
    on = "on"
    off = "off"
    proxy = "proxy"


class Attributed(StrEnum):
    """What a run may follow beside files and hooks."""

    processes = "processes"


class Kept(StrEnum):
    """What a run may keep beside the record."""

    transcript = "transcript"


@app.command(
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
    epilog=examples(
        "agentprov run -- claude",
        "agentprov run --plan PLAN.md -- codex exec 'do what PLAN.md says'",
        "agentprov run --label ticket=42 -- make generate",
    ),
)
def run(
    command: list[str] = typer.Argument(..., metavar="-- CMD...", help="The agent to run."),
    plan: Path | None = typer.Option(
        None, "--plan", metavar="FILE", help="A signed plan; the agent gets $AGENTPROV_PLAN."
    ),
    label: list[str] = typer.Option(
        [], "--label", metavar="K=V", help="A label to sign with the session; repeatable."
    ),
    gateway: Gateway = typer.Option(
        Gateway.auto,
        "--gateway",
        help="Watch the model's wire: where known to work (auto), or refuse to start (on), or "
        "never (off), or as an HTTPS proxy with a certificate authority of this run (proxy).",
    ),
    attribute: Attributed | None = typer.Option(
        None,
        "--attribute",
        help="Follow which files the agent's processes write (Linux; sudo stops working inside).",
    ),
    keep: Kept | None = typer.Option(
        None, "--keep", help="Keep the channels' text on this machine, redacted."
    ),
    encrypt: bool = typer.Option(
        False, "--encrypt", help="Encrypt what --keep keeps to a key of your own."
    ),
    best_effort: bool = typer.Option(
        False, "--best-effort", help="Run the agent unrecorded when recording cannot start."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No summary on stderr."),
) -> int:
    """Run a coding agent and record it.

    The agent keeps your terminal; its exit status is passed through. 125 means that nothing was
    started, 126 and 127 are the shell's: not executable, not found.
    """
    if os.environ.get("AGENTPROV_DISABLE") == "1":
        output.note("AGENTPROV_DISABLE=1: not recording")
        from agentprov.flows.disabled import tell

        tell(Path.cwd())
        return _unrecorded(command)
    labels = tuple(_label(text) for text in label)
    if encrypt and keep is None:
        raise click.UsageError("--encrypt needs --keep transcript")
    from agentprov.flows.before import Before
    from agentprov.flows.world import World

    try:
        world = World.here()
        before = Before(world)
        # Most of us is loaded while git is at work.
        from agentprov.flows.request import Request
        from agentprov.flows.run import run as record

        request = Request(
            tuple(command),
            Path.cwd(),
            dict(os.environ),
            plan,
            labels,
            keep_transcript=keep is not None,
            encrypt=encrypt,
            gateway=gateway.value,
            attribute=attribute is not None,
        )
        outcome = record(world, request, lambda text: output.note(output.safe(text)), before)
    except AgentprovError as error:
        status = getattr(error, "status", None)
        if isinstance(error, CannotStart) and status in (126, 127):
            output.failure(error.message, error.hint)
            return int(status)
        if best_effort:
            output.note(f"not recording: {output.safe(error.message)}")
            return _unrecorded(command)
        output.failure(error.message, error.hint)
        return exit_codes.CANNOT_START
    if not quiet:
        output.note(_summary(outcome.session, len(outcome.commits), outcome.uncommitted))
        for gap in outcome.gaps:
            output.note(f"gap: {output.safe(gap.why)} {output.safe(gap.detail or '')}".rstrip())
    return outcome.status


def _summary(session: str, commits: int, uncommitted: int) -> str:
    parts = [f"session {session[:8]} recorded", f"{commits} commit{'s' * (commits != 1)}"]
    if uncommitted:
        parts.append(f"{uncommitted} path{'s' * (uncommitted != 1)} not committed yet")
    return "; ".join(parts)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--label {text!r}: write KEY=VALUE")
    return key, value


def _unrecorded(command: list[str]) -> int:
    from agentprov.system.process import spawn

    try:
        return spawn(command, dict(os.environ), Path.cwd()).wait()
    except CannotStart as error:
        output.failure(error.message, error.hint)
        return int(getattr(error, "status", exit_codes.CANNOT_START))
