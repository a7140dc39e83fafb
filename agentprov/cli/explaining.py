"""What ``--explain CODE`` says: the entry of docs/spec/findings.md, and the catalogue's line."""

from __future__ import annotations

from agentprov.cli import output


def explain_finding(code: str) -> int:
    """Print what a finding's code means; raises UserError for a code that there is not."""
    from agentprov.errors import UserError
    from agentprov.flows.explain import explanation
    from agentprov.verify.catalogue import CATALOGUE

    kind = CATALOGUE.get(code)
    if kind is None:
        raise UserError(
            f"no finding has the code {code!r}", hint="codes: " + ", ".join(sorted(CATALOGUE))
        )
    output.line(f"{code}: {kind.severity} by itself, exit code {kind.exit_code}")
    for line in explanation(code):
        output.line(f"  {line}" if line else "")
    output.line(f"  What to do: {kind.remedy}")
    output.line(f"  More: docs/spec/findings.md#{code}")
    return 0
