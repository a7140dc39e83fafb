"""`agentprov pre-push`: what the pre-push hook starts where a gate is set up."""

from __future__ import annotations

import os
import sys

import typer

from agentprov.cli import output
from agentprov.cli.reading import taking_in

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def pre_push(
    remote: str = typer.Argument("origin", metavar="[REMOTE]", help="Where it is pushed."),
) -> int:
    """Judge what git is about to push, which git tells on standard input.

    Does so where `git config agentprov.prePush gate` was said, and the policy of the remote's
    default branch enforces. Any other status than 0 refuses the push.
    """
    from agentprov.flows.pre_push import judge, setting
    from agentprov.flows.world import World

    world = World.here()
    if setting(world.git) is None:
        return 0
    lines = os.fsdecode(sys.stdin.buffer.read()).splitlines()
    taking_in(world)
    status = 0
    for pushed in judge(world, remote or "origin", lines):
        if pushed.verdict.holds:
            continue
        status = status or pushed.verdict.exit_code
        output.say(f"{pushed.ref} may not merge by the rules of {pushed.verdict.policy_source}:")
        for item in pushed.verdict.findings:
            if item.severity == "error":
                output.say(f"  {item.code}: {item.message} (in {item.subject})")
                output.say(f"    {item.remedy}")
    return status
