"""Writes docs/cli from the `--help` of every command: python scripts/make_cli_docs.py

With `--check` it writes nothing and fails when a page is not current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import typer

from agentprov.cli import COMMANDS, app

TOP = Path(__file__).resolve().parents[1]
FOLDER = TOP / "docs" / "cli"
WIDTH = 80
NOTE = "Written by `scripts/make_cli_docs.py` from `--help`; edits here are lost."
SEE_ALSO = {
    "demo": ["[quick start](../howto/quickstart.md)"],
    "init": ["[quick start](../howto/quickstart.md)", "[hooks](../howto/hooks.md)"],
    "doctor": ["[hooks](../howto/hooks.md)", "[where things lie](../spec/layout.md)"],
    "hooks": ["[hooks beside your own](../howto/hooks.md)"],
    "keys": ["[keys](../howto/keys.md)", "[trust document](../spec/trust.md)"],
    "plan": [
        "[plans](../howto/plans.md)",
        "[presentation](../spec/presentation.md)",
        "[keyless](../howto/keyless.md)",
    ],
    "run": ["[agents](../howto/agents.md)", "[plans](../howto/plans.md)"],
    "log": ["[verification](../spec/verification.md)"],
    "show": [
        "[verification](../spec/verification.md)",
        "[verify with other tools](../howto/verify-elsewhere.md)",
    ],
    "verify": [
        "[verification](../spec/verification.md)",
        "[findings](../spec/findings.md)",
        "[formats](../spec/report-formats.md)",
        "[JSON](../spec/json-output.md)",
        "[in CI](../howto/ci.md)",
    ],
    "gate": [
        "[policy](../spec/policy.md)",
        "[formats](../spec/report-formats.md)",
        "[verification summary](../spec/vsa.md)",
        "[in CI](../howto/ci.md)",
    ],
    "pre-push": ["[hooks](../howto/hooks.md)"],
    "blame": ["[ask the record](../howto/ask.md)", "[JSON](../spec/json-output.md)"],
    "trace": ["[ask the record](../howto/ask.md)", "[JSON](../spec/json-output.md)"],
    "query": [
        "[ask the record](../howto/ask.md)",
        "[when a model is compromised](../howto/incident.md)",
        "[index](../spec/index.md)",
    ],
    "stats": ["[ask the record](../howto/ask.md)", "[JSON](../spec/json-output.md)"],
    "transcript": ["[what is taken out](../spec/redaction.md)", "[agents](../howto/agents.md)"],
    "import": ["[migrate](../howto/migrate.md)", "[what an import says](../spec/interop.md)"],
    "export": ["[migrate](../howto/migrate.md)", "[formats](../spec/interop.md)"],
    "gc": ["[what can go](../spec/gc.md)"],
    "sync": ["[refs](../spec/refs.md)"],
    "mcp": [
        "[over MCP](../howto/mcp.md)",
        "[MCP recorder](../spec/mcp-recorder.md)",
        "[manifest](../../mcp_server/README.md)",
    ],
    "drain": ["[where things lie](../spec/layout.md)"],
}


def pages() -> dict[str, str]:
    """Give file name -> text of every page."""
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group)
    context = _context(root, "agentprov", None)
    found = {"README.md": _index(root, context)}
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        found[f"{name}.md"] = _page(command, name, context)
    return found


def _index(root: click.Group, context: click.Context) -> str:
    rows = [f"| [{name}]({name}.md) | {text} |" for name, (_, text) in COMMANDS.items() if text]
    return "\n".join(
        [
            "# Commands",
            "",
            NOTE,
            "Every command exits as [exit codes](../spec/exit-codes.md) says.",
            "",
            "| command | does |",
            "| --- | --- |",
            *rows,
            "",
            "Started by hooks, not by people: [drain](drain.md).",
            "",
            *_help(root, context),
        ]
    )


def _page(command: click.Command, name: str, parent: click.Context) -> str:
    context = _context(command, name, parent)
    lines = [f"# agentprov {name}", "", NOTE, "", *_help(command, context)]
    for child, below in _children(command, context):
        lines += [f"## {below.command_path}", "", *_help(child, below)]
    links = [*SEE_ALSO.get(name, []), "[exit codes](../spec/exit-codes.md)"]
    return "\n".join([*lines, "See also: " + ", ".join(links) + ".", ""])


def _children(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield child, _context(child, name, context)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return command.make_context(
        name, [], parent, resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
    )


def _help(command: click.Command, context: click.Context) -> list[str]:
    text = [line.rstrip() for line in command.get_help(context).splitlines()]
    return ["```text", *text, "```", ""]


def main() -> int:
    """Write or check the pages; give the exit status."""
    if tuple(int(part) for part in version("click").split(".")[:2]) >= (8, 5):
        print("needs click below 8.5, which keeps the help that typer gives to arguments")
        return 2
    wanted = pages()
    there = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
    if "--check" in sys.argv[1:]:
        off = sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))
        print("\n".join(f"not current: docs/cli/{name}" for name in off) or "docs/cli is current")
        return 1 if off else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
