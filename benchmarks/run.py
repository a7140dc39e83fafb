"""Measures agentprov beside its floors and rivals: ``python benchmarks/run.py [NAME...]``.

Prints one table per figure and ends with 0 whatever the figures are. Needs agentprov installed
for this interpreter; rivals (`witness`, `in-toto-run`) are used when they are on PATH.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import asking
import commits
import crash
import crowd
import logs
import record_sizes
import rewrites
import serving_mcp
import sessions
import signing
import starts
import team
import trees
import verifying
from ground import Ground, machine
from measure import Failed, Table

FIGURES: dict[str, Callable[[Ground, Table], None]] = {
    "commit": commits.commit,
    "commit-large": commits.commit_large,
    "hook": starts.hook_start,
    "help": starts.helps,
    "snapshot": trees.snapshots,
    "true": trees.run_true,
    "start": trees.agent_start,
    "session": sessions.session,
    "verify": verifying.verify,
    "verify-many": verifying.many,
    "hostile": verifying.hostile,
    "size": sessions.sizes,
    "records": record_sizes.corpora,
    "packed": record_sizes.packed,
    "sign": signing.signing,
    "log": logs.logs,
    "index": asking.indexing,
    "blame": asking.blaming,
    "million": asking.million,
    "mcp": serving_mcp.serving,
    "crash": crash.crashes,
    "rewrites": rewrites.rewritten,
    "rewrite-stories": rewrites.stories,
    "team": team.team,
    "crowd": crowd.crowd,
}
ONLY_FULL = {"commit-large", "packed", "crash", "rewrite-stories", "team"}


def main() -> int:
    """Run the named figures, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--quick", action="store_true", help="few rounds, no large trees")
    parser.add_argument("--minute", action="store_true", help="a session of a minute, not 20 s")
    parser.add_argument("--commits", type=int, default=0, help="so many for records and packed")
    parser.add_argument("--kills", type=int, default=200, help="how many for `crash`")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    table = Table()
    about = machine()
    print("  ".join(f"{key}: {value}" for key, value in about.items()), flush=True)
    for name, figure in FIGURES.items():
        if chosen.names and name not in chosen.names:
            continue
        if chosen.quick and name in ONLY_FULL and name not in chosen.names:
            table.note(f"{name}: left out by --quick")
            continue
        rows, facts, notes = len(table.rows), len(table.facts), len(table.notes)
        with tempfile.TemporaryDirectory(prefix="agentprov-bench-") as place:
            try:
                ground = Ground(Path(place).resolve(), chosen.quick, chosen.minute, chosen.commits)
                ground.kills, ground.seed = chosen.kills, chosen.seed
                figure(ground, table)
            except Failed as failure:
                table.note(f"{name}: not measured: {failure}")
        part = Table()
        part.rows, part.facts = table.rows[rows:], table.facts[facts:]
        print()
        part.print()
        for note in table.notes[notes:]:
            print(f"note: {note}", flush=True)
    missed = [row.case for row in table.rows if row.met is False]
    missed += [item["what"] for item in table.facts if item["met"] is False]
    print(f"\nmissed: {', '.join(missed) or 'nothing'}")
    if chosen.json:
        chosen.json.write_text(json.dumps(table.document(about), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
