"""The scripted agent of the demo and of tests: it says in a file what it did.

`prepare` sets ``AGENTPROV_SCRIPTED_TRANSCRIPT``; the agent appends JSON lines there::

    {"kind": "model", "provider": "scripted", "requested": "m", "served": "m",
     "inputTokens": 1, "outputTokens": 2}
    {"kind": "edit", "path": "src/app.py", "text": "...", "model": "m",
     "at": "2026-01-02T03:04:05Z"}
    {"kind": "command", "start": "2026-01-02T03:04:05Z", "end": "2026-01-02T03:04:06Z"}
    {"kind": "instruction", "path": "AGENTS.md"}
    {"kind": "read", "path": "PLAN.md"}
    {"kind": "session", "id": "..."}

Paths are relative to the folder in which the agent was started. An edit without ``model`` counts
as made by the model of the ``model`` line before it. Other kinds are skipped.
"""

# The port gives every adapter the same arguments.
# ruff: noqa: ARG002
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import ToolCall
from agentprov.formats.facts import AgentReport, CommandWindow, Edit, ModelUse
from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext, Upstream
from agentprov.record.agents.command_line import program_name
from agentprov.record.agents.places import existing, upwards
from agentprov.record.agents.reading import absolute, count, json_lines, moment, stamp, text

TRANSCRIPT_VARIABLE = "AGENTPROV_SCRIPTED_TRANSCRIPT"
_NAMES = ("agentprov-scripted-agent", "scripted_agent.py", "scripted-agent")


class Scripted:
    """Adapter for the scripted agent."""

    name = "scripted"

    def recognises(self, command: str, package: str | None) -> bool:
        """Say whether this is the scripted agent, by the name of its program or script."""
        return program_name(command) in _NAMES or package == _NAMES[0]

    def prepare(self, context: LaunchContext) -> Launch:
        """Tell the agent where to keep its transcript: in this run's scratch folder."""
        place = str(_transcript(context))
        return Launch(context.argv, {TRANSCRIPT_VARIABLE: place}, ("transcript",))

    def upstream(self, context: LaunchContext) -> Upstream:
        """Say that it is left alone: it asks no model."""
        return Upstream(None, why_not="the scripted agent asks no model")

    def redirect(self, context: LaunchContext, launch: Launch, base_url: str) -> Launch:
        """Change nothing: there is no upstream."""
        return launch

    def edits_of(self, call: ToolCall, cwd: str) -> Sequence[Edit]:
        """Give none: its tools are not known."""
        return ()

    def materials(self, context: LaunchContext) -> Sequence[tuple[str, Path]]:
        """Give the AGENTS.md files from the top of the work tree to the working directory."""
        folders = reversed(list(upwards(context.cwd, context.top)))
        return existing(("instruction", folder / "AGENTS.md") for folder in folders)

    def mcp_servers(self, context: LaunchContext) -> Sequence[ConfiguredMcpServer]:
        """Give none: it speaks to no server."""
        return ()

    def report(self, context: LaunchContext, drops: Iterable[Drop], pid: int | None) -> AgentReport:
        """Read the transcript as far as it has come."""
        models: dict[tuple[str, str | None, str | None], list[int]] = {}
        edits: list[Edit] = []
        commands: list[CommandWindow] = []
        instructions: dict[str, None] = {}
        reads: dict[str, None] = {}
        sessions: dict[str, None] = {}
        model: str | None = None
        live = False
        for line in json_lines(_transcript(context)):
            live = True
            kind = line.get("kind")
            path = absolute(line.get("path"), str(context.cwd))
            if kind == "model":
                served = text(line.get("served"))
                key = (
                    text(line.get("provider")) or "scripted",
                    text(line.get("requested")),
                    served,
                )
                totals = models.setdefault(key, [0, 0, 0])
                totals[0] += 1
                totals[1] += count(line.get("inputTokens"))
                totals[2] += count(line.get("outputTokens"))
                model = served
            elif kind == "edit" and path:
                written, at = text(line.get("text")), moment(line.get("at"))
                author = text(line.get("model")) or model
                if written:
                    when = stamp(at) if at else None
                    edits.append(Edit(path, written, "edit", author, "reported", when))
            elif kind == "command":
                start, end = moment(line.get("start")), moment(line.get("end"))
                if start and end:
                    commands.append(CommandWindow(stamp(start), stamp(end), "reported"))
            elif kind == "instruction" and path:
                instructions.setdefault(path)
            elif kind == "read" and path:
                reads.setdefault(path)
            elif kind == "session":
                sessions.setdefault(text(line.get("id")) or "scripted")
        return AgentReport(
            channels=("transcript",) if live else (),
            agent_sessions=tuple(sessions),
            models=tuple(
                ModelUse(
                    provider=provider,
                    requested=requested,
                    served=served,
                    role="main",
                    basis="reported",
                    calls=totals[0],
                    input_tokens=totals[1],
                    output_tokens=totals[2],
                    why=None if served else "the transcript names no served model",
                )
                for (provider, requested, served), totals in models.items()
            ),
            edits=tuple(edits),
            commands=tuple(commands),
            instructions=tuple(instructions),
            read_paths=tuple(reads),
        )


def _transcript(context: LaunchContext) -> Path:
    return context.scratch / "scripted-transcript.jsonl"
