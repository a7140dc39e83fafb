"""What the recorder knows, as frozen values; `record` makes them, `attest` states them.

Paths are raw git paths (bytes, relative to the top of the work tree) unless a field says
otherwise; digests are lower-case hex; times are RFC 3339 text in UTC. Every claim carries its
basis (docs/glossary.md); a claim without a value says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agentprov.formats.vocabulary import BASES as BASES
from agentprov.formats.vocabulary import OPERATIONS as OPERATIONS
from agentprov.formats.vocabulary import ORIGINS as ORIGINS
from agentprov.formats.vocabulary import Basis as Basis
from agentprov.formats.vocabulary import DeclarationKind as DeclarationKind
from agentprov.formats.vocabulary import Operation as Operation
from agentprov.formats.vocabulary import Origin as Origin


@dataclass(frozen=True)
class FileDigest:
    """A file by its place (as a person would write it) and the digest of its bytes."""

    place: str
    sha256: str | None
    size: int | None = None
    why: str | None = None


@dataclass(frozen=True)
class Agent:
    """The program that ran: what was named, what it resolved to, what really executed.

    `sha256` is the digest of the file that executed (for a script: of the script; its
    interpreter stands in `parts`). `purl` and `version` come from the package's own metadata
    beside the file. `why` says what could not be known.
    """

    name: str
    command: str
    place: str
    sha256: str | None
    basis: Basis
    purl: str | None = None
    version: str | None = None
    integrity: str | None = None
    chain: tuple[str, ...] = ()
    parts: tuple[FileDigest, ...] = ()
    why: str | None = None


MaterialRole = Literal["instruction", "settings", "hooks", "mcp-configuration", "skill", "plugin"]


@dataclass(frozen=True)
class Material:
    """A file that steers the agent: instruction, settings, hooks or MCP configuration.

    A `skill` may be loaded when a model wants it: skills, sub-agents, commands, prompts, with the
    files beside them. A `plugin` is any other file of a plug-in or extension.
    `label` is a path inside the work tree, or ``~/...`` for one in the user's home, or an
    absolute path. Never holds contents or environment values.
    """

    role: MaterialRole
    label: str
    sha256: str | None
    basis: Basis
    size: int | None = None
    why: str | None = None


@dataclass(frozen=True)
class McpServer:
    """An MCP server that is configured for the agent, and what is known of what it runs."""

    name: str
    basis: Basis
    command: str | None = None
    purl: str | None = None
    sha256: str | None = None
    parts: tuple[FileDigest, ...] = ()
    host: str | None = None
    environment_names: tuple[str, ...] = ()
    source: str | None = None
    tools_sha256: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class McpTool:
    """A tool as an MCP server offered it: digests of its definition and its description."""

    name: str
    sha256: str
    description_sha256: str | None = None


@dataclass(frozen=True)
class McpToolChange:
    """A tool that was another one, or was not there, when the server listed it before.

    `calls` is how many calls the connection had carried by then. `before` is None for an added
    tool, `after` for one that is gone.
    """

    tool: str
    at: str
    calls: int
    before: McpTool | None
    after: McpTool | None


@dataclass(frozen=True)
class McpCall:
    """A call of a tool as it passed; `call_id` is the model's id of the call.

    `by_name` says that the agent did not send that id: it is that of the one open call of this
    tool on the wire.
    """

    tool: str
    at: str
    outcome: Literal["answered", "failed", "refused", "cancelled", "unanswered"]
    call_id: str | None = None
    listed: bool = True
    by_name: bool = False


@dataclass(frozen=True)
class McpSeen:
    """What passed between the agent and one MCP server that was watched, over all connections.

    `stage` is how far it came: the program was started, answered the handshake, listed its
    tools, was called. `tools` is the list that the agent saw last, `tools_sha256` its digest,
    `first_tools_sha256` that of the first one.
    """

    name: str
    basis: Basis
    stage: Literal["started", "answered", "listed", "called"]
    connections: int = 0
    protocol: str | None = None
    server_name: str | None = None
    server_version: str | None = None
    tools: tuple[McpTool, ...] = ()
    tools_sha256: str | None = None
    first_tools_sha256: str | None = None
    changes: tuple[McpToolChange, ...] = ()
    calls: tuple[McpCall, ...] = ()
    why: str | None = None


@dataclass(frozen=True)
class Weights:
    """The files that a model server on this machine answers from, as model_signing digests them.

    `sha256` is over the raw digests of `files` in the order of their names; a file's `place` is
    relative to the folder that holds them all, ``.`` for a single one. `name` is that folder's or
    file's own name, `server` the short name of the process that listens. `why` says what is not
    known; it is always set where there is no digest.
    """

    sha256: str | None
    basis: Basis
    name: str | None = None
    files: tuple[FileDigest, ...] = ()
    server: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class ModelUse:
    """Calls to one served model; `served` is None when nobody kept what was served.

    `host` is the host that answered, where the wire was seen; `parameters` are those that were
    the same in every call. `weights` is set where that host is this machine.
    """

    provider: str
    requested: str | None
    served: str | None
    role: Literal["main", "helper", "subagent"]
    basis: Basis
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    why: str | None = None
    host: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    weights: Weights | None = None


@dataclass(frozen=True)
class Edit:
    """Text that the agent says its own write tool put into a file.

    `path` is absolute (text, as the agent gave it, resolved against its working directory).
    `text` is the new text as the model sent it; `model` the model that sent it, where known.
    `at` is the earliest time it can have acted: when the request
    began (wire) or the tool ran (reports). `echoed` are numbers
    (from 1) of lines of `text` that had stood in an earlier request of the session. `replaces`
    is the text in whose place `text` goes, for tools that replace a piece of a file (None when
    not known or when the tool writes whole lines); with `every` wherever it stands. `until` is
    when the agent's next request of the same conversation began: by then the tool was done.
    """

    path: str
    text: str
    tool: str
    model: str | None
    basis: Basis
    at: str | None = None
    call_id: str | None = None
    echoed: tuple[int, ...] = ()
    replaces: str | None = None
    every: bool = False
    until: str | None = None


@dataclass(frozen=True)
class Asked:
    """A tool call on the wire that is no write: from its request until the agent's next one.

    `texts` are the command lines in its arguments, if it has any; `until` is None when no next
    request was seen.
    """

    start: str
    until: str | None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommandWindow:
    """A command that the agent ran, from `start` to `end` (RFC 3339), as the agent reports it."""

    start: str
    end: str
    basis: Basis


@dataclass(frozen=True)
class Gap:
    """A stretch, or a thing, to which we were blind."""

    why: str
    start: str
    end: str
    detail: str | None = None


@dataclass(frozen=True)
class Declared:
    """Something that the agent said of its own work (basis `declared`); nobody checked it.

    `sha256` is the digest of the whole declaration, which stays on this machine. `path` is the
    label of the file that it is about, `start` and `end` the lines as they stood then; `text` is
    set only where publishing it was asked for.
    """

    kind: DeclarationKind
    sha256: str
    at: str
    path: str | None = None
    start: int | None = None
    end: int | None = None
    model: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class AgentReport:
    """What an agent's own channels said about a session so far (basis `reported`).

    `channels` names those that were live: ``hooks``, ``transcript``, ``events``.
    `instructions` are the files that the agent says it loaded (absolute paths). `wire` are the
    writes that the model asked for on the wire, `wire_complete` says that the gateway saw every
    request of the session (no gap, no other way out known). `contradictions` are sentences on
    what two channels say differently. `known_calls` are the ids of all tool calls that the
    agent's channels told of, failed ones too; empty when they carry no ids. `said` are keyed
    digests of every line that stood in an answer and when it first did, made with `said_key`
    (hex); they stay on this machine. `asked` are the calls on the wire that are no writes.
    `declared` is what the agent declared, `declared_writes` the lines that it declared as its
    work, as they stood in the file at that moment.
    """

    channels: tuple[str, ...] = ()
    agent_sessions: tuple[str, ...] = ()
    models: tuple[ModelUse, ...] = ()
    edits: tuple[Edit, ...] = ()
    commands: tuple[CommandWindow, ...] = ()
    instructions: tuple[str, ...] = ()
    read_paths: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    mcp_connected: tuple[str, ...] = ()
    wire: tuple[Edit, ...] = ()
    wire_complete: bool = False
    contradictions: tuple[str, ...] = ()
    known_calls: tuple[str, ...] = ()
    said: tuple[tuple[str, str], ...] = ()
    said_key: str = ""
    asked: tuple[Asked, ...] = ()
    declared: tuple[Declared, ...] = ()
    declared_writes: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class LineRange:
    """Added lines `start`..`end` (1-based, inclusive) of the file as committed."""

    start: int
    end: int
    origin: Origin
    basis: Basis
    model: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Change:
    """One path that a commit changed, as git holds it.

    `mode` is git's six octal digits of the new side (old side for a delete). `blob` and
    `sha256` are of the committed content; both None for a delete. `ranges` cover every added
    line of a text file, and `added` is the digest of those lines (formats.carrying).
    """

    path: bytes
    op: Operation
    mode: str
    blob: str | None
    sha256: str | None
    size: int | None = None
    old_path: bytes | None = None
    from_session: bool = True
    ranges: tuple[LineRange, ...] = ()
    why: str | None = None
    added: str | None = None


@dataclass(frozen=True)
class Commit:
    """A commit that a session made or fed, with the changes that came out of the session."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    patch_id: str | None
    ref: str | None
    sequence: int
    changes: tuple[Change, ...] = ()
    during: bool = True


@dataclass(frozen=True)
class PlanRef:
    """A signed plan, as a session was given it."""

    name: str
    sha256: str
    statement_sha256: str
    signature_sha256: str
    not_after: str | None = None


@dataclass(frozen=True)
class Repository:
    """Which repository this is: an origin URL without credentials, else its first commits."""

    uri: str
    object_format: Literal["sha1", "sha256"]


@dataclass(frozen=True)
class Source:
    """What an imported session was read from: a note, a record, a transcript, a message.

    `format` is one of the words of `agentprov import --format`; `sha256` is of its bytes.
    """

    format: str
    sha256: str


@dataclass(frozen=True)
class Session:
    """Everything that is true of a whole session; signed once when it opens.

    `sources` are set for imported ones only: nobody of ours saw these at work.
    """

    id: str
    started: str
    builder: str
    repository: Repository
    base_commit: str | None
    base_tree: str | None
    ref: str | None
    platform: str
    agent: Agent
    command_line: tuple[str, ...]
    plan: PlanRef | None = None
    materials: tuple[Material, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    principal: str | None = None
    journal_genesis: str = ""
    gaps: tuple[Gap, ...] = field(default_factory=tuple)
    sources: tuple[Source, ...] = ()
