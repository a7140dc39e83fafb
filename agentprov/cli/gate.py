"""`agentprov gate`: may this range merge?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentprov.cli import output, rendering
from agentprov.cli.examples import examples
from agentprov.cli.explaining import explain_finding
from agentprov.cli.reading import taking_in
from agentprov.cli.rendering import FORMAT_HELP, Format
from agentprov.errors import UsageError

if TYPE_CHECKING:
    from agentprov.flows.world import World
    from agentprov.ports import Signer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "agentprov gate origin/main..HEAD",
        "agentprov gate --target origin/release --json",
        "agentprov gate origin/main..HEAD --format sarif --vsa gate.sigstore.json",
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
    form: Format | None = typer.Option(None, "--format", help=FORMAT_HELP),
    as_json: bool = typer.Option(False, "--json", help="Short for --format json."),
    vsa: Path | None = typer.Option(
        None, "--vsa", metavar="FILE", help="Write a signed SLSA verification summary there."
    ),
    vsa_key: str | None = typer.Option(
        None,
        "--vsa-key",
        metavar="URI",
        help="The key that signs it, never a person's; by default the recorder's key.",
    ),
    explain: str | None = typer.Option(
        None, "--explain", metavar="CODE", help="Explain a finding's code, and judge nothing."
    ),
) -> int:
    """Judge a range under the target branch's policy and trust; fails closed.

    The range cannot weaken its own gate: what it changes in .agentprov does not count for it.
    """
    if explain is not None:
        return explain_finding(explain)
    from agentprov.flows import gate as flow
    from agentprov.flows.trust import POLICY_PATH
    from agentprov.flows.world import World

    form = rendering.chosen(form, as_json)
    world = World.here()
    taking_in(world)
    signer = _summary_signer(world, vsa, vsa_key)
    judged = flow.judged(world, span, target=target, policy_file=policy, trust_file=trust)
    verdict = judged.verdict
    if vsa is not None and signer is not None:
        from agentprov.flows.verification_summary import write

        write(world, judged, vsa, signer)
        output.say(f"wrote {vsa}, signed with {signer.uri}")
    rendering.put(verdict, form, rules_path=POLICY_PATH if policy is None else None)
    return verdict.exit_code


def _summary_signer(world: World, vsa: Path | None, key: str | None) -> Signer | None:
    if vsa is None:
        if key is not None:
            raise UsageError("--vsa-key signs nothing without --vsa", hint="add --vsa FILE")
        return None
    from agentprov.flows.verification_summary import prepare

    return prepare(world, vsa, key)
