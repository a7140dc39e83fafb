"""Start-up: the spool script, the git hook's own part, and the command line's help."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path

from ground import AGENTPROV, PYTHON, Ground
from measure import Table, Target, at_most_times, process, run_cases

_NOTHING = """
import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

@app.command()
def one(name: str = typer.Option("", help="A name.")) -> None:
    \"\"\"Do nothing.\"\"\"

@app.command()
def two(name: str = typer.Option("", help="A name.")) -> None:
    \"\"\"Do nothing either.\"\"\"

app()
"""
_PAYLOAD = b'{"hook_event_name":"PostToolUse","tool_input":{"content":"' + b"x" * 1500 + b'"}}'

_QUICK = Target(
    "p95 <= 10 ms wall, 5 ms cpu", lambda row: row.wall_p95 <= 10 and (row.cpu_p95 or 0) <= 5
)


def nothing_app(ground: Ground) -> Path:
    """Write a typer app of two commands that do nothing; the floor of a command line."""
    place = ground.place / "nothing.py"
    place.write_text(_NOTHING)
    return place


def hook_start(ground: Ground, table: Table) -> None:
    """One agent event through the spool script, one commit event through the hook's program."""
    top = ground.repository("hook-start", 5)
    ground.agentprov("init", cwd=top)
    box = ground.place / "box"
    box.mkdir()
    spool = ground.place / "spool.sh"
    spool.write_bytes(files("agentprov_hooks").joinpath("spool.sh").read_bytes())
    env = {**ground.env, "AGENTPROV_SPOOL": str(box)}
    # What the settings of a run hold, for an agent that runs hooks through a shell of its own.
    command = f"/bin/sh {shlex.quote(str(spool))} codex PostToolUse >/dev/null 2>&1 || :"
    hook = str(top / ".git/agentprov/hook.sh")
    run_cases(
        table,
        "hook start",
        {
            "sh -c :": lambda: process(("sh", "-c", ":"), cwd=top, env=env),
            "python -c pass": lambda: process((PYTHON, "-c", "pass"), cwd=top, env=env),
            "agent event, spool.sh": lambda: process(
                ("sh", str(spool), "claude", "PostToolUse"), cwd=top, env=env, input=_PAYLOAD
            ),
            "agent event, as agents run it": lambda: process(
                ("/bin/sh", "-c", command), cwd=top, env=env, input=_PAYLOAD
            ),
            "git hook, nothing waits": lambda: process(
                ("sh", hook, "post-commit"), cwd=top, env=env
            ),
        },
        ground.rounds(80, 15),
        {"agent event, spool.sh": _QUICK, "agent event, as agents run it": _QUICK},
    )


def helps(ground: Ground, table: Table) -> None:
    """The two help texts against a do-nothing app of the same library."""
    app = str(nothing_app(ground))
    place, env = ground.place, ground.env
    run_cases(
        table,
        "help",
        {
            "do-nothing typer app, --help": lambda: process(
                (PYTHON, "-I", app, "--help"), cwd=place, env=env
            ),
            "do-nothing typer app, one": lambda: process(
                (PYTHON, "-I", app, "one"), cwd=place, env=env
            ),
            "agentprov --help": lambda: process((*AGENTPROV, "--help"), cwd=place, env=env),
            "agentprov verify --help": lambda: process(
                (*AGENTPROV, "verify", "--help"), cwd=place, env=env
            ),
        },
        ground.rounds(40, 8),
        {
            "agentprov --help": at_most_times(2, cpu=True),
            "agentprov verify --help": at_most_times(2, cpu=True),
        },
    )
