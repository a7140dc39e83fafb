"""`agentprov init`: sets a repository up, and says what it did."""

from __future__ import annotations

import typer

from agentprov.cli import output
from agentprov.cli.examples import examples
from agentprov.cli.hooks import print_report

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=examples("agentprov init", "agentprov init --commit", "agentprov -C repo init"))
def init(
    commit: bool = typer.Option(
        False, "--commit", help="Commit .agentprov/trust.yaml and policy.yaml, and nothing else."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> int:
    """Set this repository up: keys, hooks, the notes refspec, trust and policy files.

    Works in any repository with a work tree, and may be run again at any time. `agentprov hooks
    uninstall` takes it back.
    """
    from agentprov.flows import trust
    from agentprov.flows.install import install
    from agentprov.flows.world import World
    from agentprov.sign.key_use import KeyUse

    world = World.here()
    use = KeyUse(say=output.say)
    whose = trust.person(world.git)
    files = {
        trust.TRUST_PATH: trust.trust_text(world.home, whose, use).encode(),
        trust.POLICY_PATH: trust.policy_text().encode(),
    }
    report = install(world.git, files=files, commit=commit)
    print_report(report, as_json, "agentprov-init/1")
    if not as_json and not commit and any(step.state == "done" for step in report.steps):
        output.note("commit .agentprov/ so that others can check records against your keys")
    return 0
