"""A whole session: what the wrapper adds to it, and how large its records are."""

from __future__ import annotations

import zlib
from pathlib import Path

from ground import AGENTPROV, PYTHON, Ground
from measure import Table, Target, median, process, quantile, run_cases

# Works like a coding agent: waits for its model, reads, writes, runs commands, commits. The
# amount of work is fixed, so that what the wrapper takes from it shows in the wall time.
_AGENT = """
import pathlib, random, subprocess, sys, time
steps, names = int(sys.argv[1]), sorted(pathlib.Path().glob("d*/*.txt"))
chance = random.Random(7)
def run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
for step in range(steps):
    time.sleep(0.7)
    for path in chance.sample(names, 20):
        path.read_bytes()
    place = pathlib.Path(f"work/part{step % 7}.py")
    place.parent.mkdir(exist_ok=True)
    with place.open("a") as stream:
        stream.writelines(f"value_{step}_{n} = {chance.random()}\\n" for n in range(40))
    run("git", "status", "--short")
    run("grep", "-rl", "value_0_", "work")
    run(sys.executable, "-c", "sum(i * i for i in range(600000))")
    if step % 6 == 5:
        run("git", "add", "-A")
        run("git", "commit", "-q", "-m", f"Step {step}")
"""


def session(ground: Ground, table: Table) -> None:
    """A scripted session of some 20 seconds (a minute with --minute), bare and wrapped."""
    agent = ground.place / "agent.py"
    agent.write_text(_AGENT)
    steps = 72 if ground.minute else 24
    first = ground.repository("alone", 1_000)
    wrapped = ground.copy(first, "wrapped")
    ground.agentprov("init", cwd=wrapped)
    argv = (PYTHON, str(agent), str(steps))
    run_cases(
        table, "session, a minute" if ground.minute else "session, 20 s",
        {
            "agent alone": lambda: process(argv, cwd=first, env=ground.env),
            "agentprov run": lambda: process(
                (*AGENTPROV, "run", "-q", "--", *argv), cwd=wrapped, env=ground.env
            ),
        },
        ground.rounds(5, 1),
        {"agentprov run": Target("<= 1.02x wall", lambda row: (row.ratio or 9) <= 1.02)},
        warm=0,
    )  # fmt: skip


_SCRIPT = """
i=0
while [ $i -lt {commits} ]; do
  i=$((i + 1))
  n=0
  while [ $n -lt {files} ]; do
    n=$((n + 1))
    echo "session {name} commit $i line" >>d0000/f00000$n.txt
    echo "value_$i = $n" >>new-{name}-$n.py
  done
  git add -A
  git commit -q -m "Commit $i of {name}"
done
"""


def sizes(ground: Ground, table: Table) -> None:
    """The records of commits as they lie in the notes, each commit's compressed by itself."""
    top = ground.repository("sizes", 100)
    ground.agentprov("init", cwd=top)
    shapes = [(1, 1), (1, 3), (3, 1), (5, 2), (8, 4)] * (1 if ground.quick else 4)
    for number, (commits, files) in enumerate(shapes):
        script = _SCRIPT.format(commits=commits, files=files, name=f"s{number}")
        ground.agentprov("run", "-q", "--", "sh", "-c", script, cwd=top)
    found = [len(zlib.compress(note)) for note in _notes(ground, top)]
    figure = "record size"
    table.fact(figure, "commits with a record", len(found))
    middle, mean = median(found), sum(found) / len(found)
    table.fact(figure, "zlib bytes per commit, median", round(middle), "<= 1500", middle <= 1500)
    table.fact(figure, "zlib bytes per commit, mean", round(mean), "<= 2000", mean <= 2000)
    high = quantile(found, 0.99)
    table.fact(figure, "zlib bytes per commit, p99", high, "<= 12000", high <= 12_000)


def _notes(ground: Ground, top: Path) -> list[bytes]:
    listing = ground.run("git", "notes", "--ref=agentprov", "list", cwd=top).decode()
    blobs = [line.split()[0] for line in listing.splitlines()]
    return [ground.run("git", "cat-file", "blob", blob, cwd=top) for blob in blobs]
