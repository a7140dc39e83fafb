"""Facts as the small objects that statements are made of; nothing private gets through here.

Absolute places become file names, command lines become executable and flag names, and claims
without a value keep their reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import agentprov
from agentprov.formats.facts import (
    Agent,
    Declared,
    FileDigest,
    Gap,
    Material,
    McpSeen,
    McpServer,
    McpTool,
    ModelUse,
    Source,
    Weights,
)
from agentprov.formats.model_manifest import RULE
from agentprov.formats.names import TRANSCRIPT_IMPORT

IMPORT_RULES = "1"

_LONG_FLAG = re.compile(r"--[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ABOUT_PATHS = frozenset(
    {
        "drop-unreadable",
        "nested-repository",
        "not-hashed-too-large",
        "special-file",
        "submodule-changed-inside",
        "unreadable",
    }
)
_SHORT_FLAG = re.compile(r"-[A-Za-z0-9?]")


def sha256(value: str) -> dict[str, str]:
    """Give a digest set that holds one sha256."""
    return {"sha256": value}


def present(**values: Any) -> dict[str, Any]:
    """Give the members that have a value; None and empty collections are left out."""
    return {key: value for key, value in values.items() if value not in (None, (), [], {})}


def base_name(place: str) -> str:
    """Give the last step of a place, on either kind of path."""
    return re.split(r"[/\\]", place.rstrip("/\\"))[-1] or place


def command_line(argv: Sequence[str]) -> list[str]:
    """Give executable and flag names of a command line: never a value, prompt or operand.

    What follows ``--`` is dropped whole; so are short flags' glued values.
    """
    if not argv:
        return ["?"]
    words = [base_name(argv[0])]
    for word in argv[1:]:
        if word == "--":
            break
        name = word.partition("=")[0]
        if _LONG_FLAG.fullmatch(name):
            words.append(name)
        elif (short := _SHORT_FLAG.match(word)) is not None:
            words.append(short.group())
    return words


def builder(builder_id: str) -> dict[str, Any]:
    """Give the builder object for one mode of the recorder.

    That of an import names the version of its rules instead of ours, so that the same import
    by another version is the same statement.
    """
    if builder_id == TRANSCRIPT_IMPORT:
        return {"id": builder_id, "version": {"agentprov-import": IMPORT_RULES}}
    return {"id": builder_id, "version": {"agentprov": agentprov.__version__}}


def sources(facts: Iterable[Source]) -> list[dict[str, Any]]:
    """Give what an imported session was read from: kind and digest, never a name or a text."""
    return [{"format": item.format, "digest": sha256(item.sha256)} for item in facts]


def parts(files: Iterable[FileDigest]) -> list[dict[str, Any]]:
    """Give executed files beside the main one, by file name and digest."""
    return [
        present(
            name=base_name(file.place),
            digest=sha256(file.sha256) if file.sha256 else None,
            why=file.why,
        )
        for file in files
    ]


def agent(facts: Agent) -> dict[str, Any]:
    """Give the agent as the opening statement names it."""
    return present(
        name=facts.name,
        command=base_name(facts.command),
        uri=facts.purl,
        version=facts.version,
        integrity=facts.integrity,
        digest=sha256(facts.sha256) if facts.sha256 else None,
        parts=parts(facts.parts),
        basis=facts.basis,
        why=facts.why or (None if facts.sha256 or facts.purl else "nothing was kept of it"),
    )


def material(facts: Material) -> dict[str, Any]:
    """Give a file that steers the agent."""
    return present(
        role=facts.role,
        name=facts.label,
        digest=sha256(facts.sha256) if facts.sha256 else None,
        basis=facts.basis,
        why=facts.why or (None if facts.sha256 else "not read"),
    )


def mcp_server(facts: McpServer) -> dict[str, Any]:
    """Give an MCP server; of its environment the names only."""
    return present(
        name=facts.name,
        basis=facts.basis,
        command=base_name(facts.command) if facts.command else None,
        uri=facts.purl,
        digest=sha256(facts.sha256) if facts.sha256 else None,
        parts=parts(facts.parts),
        host=facts.host,
        environmentNames=sorted(facts.environment_names),
        source=facts.source,
        toolsDigest=sha256(facts.tools_sha256) if facts.tools_sha256 else None,
        why=facts.why,
    )


def mcp_seen(facts: McpSeen) -> dict[str, Any]:
    """Give what passed between the agent and an MCP server: digests, names and call ids."""
    return present(
        name=facts.name,
        basis=facts.basis,
        stage=facts.stage,
        connections=facts.connections or None,
        protocol=facts.protocol,
        serverInfo=present(name=facts.server_name, version=facts.server_version),
        tools=[_mcp_tool(tool) for tool in facts.tools],
        toolsDigest=sha256(facts.tools_sha256) if facts.tools_sha256 else None,
        firstToolsDigest=sha256(facts.first_tools_sha256) if facts.first_tools_sha256 else None,
        toolChanges=[
            present(
                tool=change.tool,
                on=change.at,
                afterCalls=change.calls,
                before=_mcp_tool(change.before) if change.before else None,
                after=_mcp_tool(change.after) if change.after else None,
            )
            for change in facts.changes
        ],
        calls=[
            present(
                tool=call.tool,
                on=call.at,
                outcome=call.outcome,
                call=call.call_id,
                callByName=call.by_name or None,
                unlisted=None if call.listed else True,
            )
            for call in facts.calls
        ],
        why=facts.why,
    )


def _mcp_tool(facts: McpTool) -> dict[str, Any]:
    return present(
        name=facts.name,
        digest=sha256(facts.sha256),
        description=sha256(facts.description_sha256) if facts.description_sha256 else None,
    )


def model(facts: ModelUse) -> dict[str, Any]:
    """Give one model's use, as the closing statement sums it up."""
    return present(
        provider=facts.provider,
        requested=facts.requested,
        served=facts.served,
        role=facts.role,
        basis=facts.basis,
        calls=facts.calls,
        inputTokens=facts.input_tokens,
        outputTokens=facts.output_tokens,
        host=facts.host,
        parameters=dict(facts.parameters),
        weights=weights(facts.weights) if facts.weights else None,
        why=facts.why or (None if facts.served else "nobody kept what was served"),
    )


def weights(facts: Weights) -> dict[str, Any]:
    """Give the files behind a model: root digest, and each file's own by name."""
    return present(
        name=facts.name,
        digest=sha256(facts.sha256) if facts.sha256 else None,
        rule=RULE if facts.sha256 else None,
        basis=facts.basis,
        files=[
            present(
                name=file.place,
                digest=sha256(file.sha256) if file.sha256 else None,
                why=file.why,
            )
            for file in facts.files
        ],
        server=facts.server,
        why=facts.why or (None if facts.sha256 else "not hashed"),
    )


def declared(facts: Declared) -> dict[str, Any]:
    """Give something that the agent declared: by digest, and what it says only where asked for."""
    return present(
        kind=facts.kind,
        on=facts.at,
        digest=sha256(facts.sha256),
        basis="declared",
        text=facts.text,
    )


def declared_artifact(facts: Declared) -> dict[str, Any]:
    """Give a declared artifact beside the commit that its file is in."""
    return present(
        path=facts.path,
        start=facts.start,
        end=facts.end,
        model=facts.model,
        digest=sha256(facts.sha256),
        basis="declared",
    )


def model_uri(provider: str, served: str) -> str:
    """Give the package URL under which a served model is found again."""
    return f"pkg:generic/{quote(provider, safe='')}/{quote(served, safe='')}"


def gaps(facts: Iterable[Gap]) -> list[Mapping[str, Any]]:
    """Give the stretches to which the recorder was blind, each once.

    A detail that names a path stays in the journal: what was never committed is not published.
    """
    found: list[Mapping[str, Any]] = []
    for gap in facts:
        value = present(why=gap.why, start=gap.start, end=gap.end, detail=_published(gap))
        if value not in found:
            found.append(value)
    return found


def _published(gap: Gap) -> str | None:
    detail = gap.detail
    if detail is None or gap.why in _ABOUT_PATHS or re.search(r"[/\\]", detail):
        return None
    return detail[:200]
