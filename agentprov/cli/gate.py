"""`agentprov gate`: may this range merge?"""

from __future__ import annotations

from pathlib import Path

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.reading import taking_in

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "agentprov gate origin/main..HEAD",
        "agentprov gate --target origin/release --json",
        "agentprov gate main..HEAD --policy ../policy.yaml --trust ../trust.yaml",
    )
)
def gate(
    span: str | None = typer.Argument(
        None, metavar="[RANGE]", help="What is to be merged; by default TARGET..HEAD."
    ),
    target: str | None = typer.Option(
        None, "--target", metavar="REV", help="The branch whose policy and trust apply."
    ),
    policy: Path | None = typer.Option(
        None, "--policy", metavar="FILE", help="A policy from outside the work tree."
    ),
    trust: Path | None = typer.Option(
        None, "--trust", metavar="FILE", help="A trust file from outside the work tree."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Judge a range under the target branch's policy and trust; fails closed.

    The range cannot weaken its own gate: what it changes in .agentprov does not count for it.
    """
    from agentprov.cli.verify import print_verdict
    from agentprov.flows import gate as flow
    from agentprov.flows.world import World

    world = World.here()
    taking_in(world)
    verdict = flow.gate(world, span, target=target, policy_file=policy, trust_file=trust)
    if as_json:
        from agentprov.verify.output import verdict_json

        output.document(verdict_json(verdict))
    else:
        print_verdict(verdict)
    return verdict.exit_code
