"""What an agent declared of its own work, beside what the recorder knows of it.

A declaration has the basis `declared` and never another. It names what nobody else named, and may
contradict; it replaces nothing. Lines that were declared become ``model`` at that basis only where
nothing at all is known of them (docs/spec/origins.md, ADR 0020).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agentprov.errors import MalformedInput
from agentprov.formats import declaration
from agentprov.formats.declaration import Declaration
from agentprov.formats.dropbox import Drop
from agentprov.formats.exchange import is_genuine
from agentprov.formats.facts import (
    Agent,
    AgentReport,
    Change,
    Commit,
    Declared,
    Edit,
    Gap,
    LineRange,
    ModelUse,
    Session,
)
from agentprov.formats.names import label_path, path_label
from agentprov.formats.redaction import Redactor
from agentprov.formats.vocabulary import BASES, Basis
from agentprov.record.matching import Places, Text
from agentprov.record.transforms import file_keys, is_notebook, text_keys
from agentprov.system.files import atomic_write

TEXTS = "declarations.jsonl"
WHY = "declared"
_OPEN = frozenset({None, "no-model-text", "agent-reports-nothing", "no-process-attribution"})
"""The reasons of ``unknown`` lines of which nothing else is known."""


@dataclass(frozen=True)
class Spoken:
    """The declarations among a session's drops, in the order in which they came, and gaps."""

    items: tuple[Declaration, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def of(self, kind: str) -> list[Declaration]:
        """Give those of one kind."""
        return [item for item in self.items if item.kind == kind]


def spoken(drops: Iterable[Drop], token: bytes | None, session: str, at: str) -> Spoken:
    """Read all drops of channel ``declared``; what is not this session's becomes a gap at `at`."""
    items: list[Declaration] = []
    forged = unreadable = beyond = size = 0
    for drop in drops:
        if drop.channel != declaration.CHANNEL:
            continue
        if token is None or not is_genuine(token, drop.event, drop.payload):
            forged += 1
            continue
        try:
            item = declaration.decode(token, session, drop.event, drop.payload)
        except MalformedInput:
            unreadable += 1
            continue
        size += len(item.content)
        if len(items) >= declaration.MAX_DECLARATIONS or size > declaration.MAX_ARTIFACTS_BYTES:
            beyond += 1
            continue
        if all(item.sha256 != known.sha256 for known in items):
            items.append(item)
    counts = {
        "declaration-forged": forged,
        "declaration-unreadable": unreadable,
        "declarations-too-many": beyond,
    }
    gaps = tuple(Gap(why, at, at, str(count)) for why, count in counts.items() if count)
    return Spoken(tuple(items), gaps)


def merge(
    report: AgentReport, said: Spoken, session: Session, top: Path, publish: Redactor | None = None
) -> AgentReport:
    """Put what was declared beside what is known; gives the report with it and contradictions.

    `publish` takes secrets out of the texts that are to be published; without it none is.
    """
    models = list(report.models)
    contradictions: list[str] = []
    known = [use for use in report.models if use.basis != "declared"]
    for item in said.of("model"):
        use = _model(item)
        names = {name for other in known for name in (other.served, other.requested)}
        if use.served in names or use in models:
            continue
        heard = sorted({other.served for other in known if other.served})
        if heard:
            contradictions.append(
                f"the agent declares the model {use.served}; known are {', '.join(heard)}"
            )
        if not report.wire_complete:
            models.append(use)
    contradictions += _about_agent(said, session)
    contradictions += _about_plan(said, session)
    return replace(
        report,
        models=tuple(models),
        gaps=(*report.gaps, *said.gaps),
        contradictions=(*report.contradictions, *dict.fromkeys(contradictions)),
        declared=tuple(_stated(item, publish) for item in said.items),
        declared_writes=tuple(
            write for item in said.of("artifact") if _is_text((write := _write(item, top)).path)
        ),
    )


def agent_of(said: Spoken, known: Agent) -> Agent:
    """Give the agent as it was declared last, for a session in which nobody looked at it."""
    for item in reversed(said.of("agent")):
        name = item.members["name"]
        return replace(
            known,
            name=name,
            command=name,
            place=name,
            version=item.members.get("version"),
            purl=item.members.get("purl"),
        )
    return known


def settle(
    commit: Commit,
    report: AgentReport,
    writes: Mapping[bytes, Sequence[Edit]],
    read: Callable[[str], bytes | None],
    best: Basis,
) -> tuple[Commit, list[str]]:
    """Let declarations speak for lines of which nothing is known, and lower bases to `best`.

    `writes` are `report.declared_writes` by git path, `read` gives a blob. Gives sentences where
    a declaration contradicts what is known of a line.
    """
    contradictions: list[str] = []
    changes: list[Change] = []
    for change in commit.changes:
        edits = [*writes.get(change.path, ()), *writes.get(change.old_path or b"", ())]
        content = read(change.blob) if edits and change.blob and change.ranges else None
        if content is not None:
            lines = dict(_lines(change.ranges))
            against = {n for n, item in lines.items() if item.origin in ("human", "agent")}
            n = len(_claimed(change.path, content, against, edits))
            if n:
                contradictions.append(
                    f"the agent declares {n} lines of {path_label(change.path)!r} as its model's "
                    "that are known to be no model's"
                )
            if not report.wire_complete:
                open_ = {n for n, item in lines.items() if _nothing_is_known(item)}
                for number, model in _claimed(change.path, content, open_, edits).items():
                    lines[number] = LineRange(number, number, "model", "declared", model, WHY)
            change = replace(change, ranges=_joined(lines))
        changes.append(replace(change, ranges=tuple(_capped(r, best) for r in change.ranges)))
    return replace(commit, changes=tuple(changes)), contradictions


def untouched(report: AgentReport, changed: Collection[bytes]) -> list[str]:
    """Give a sentence for each declared file that is as it was; `changed` are all that are not."""
    labels = {item.path for item in report.declared if item.kind == "artifact" and item.path}
    return [
        f"the agent declares work on {label!r}, which is as it was when the session began"
        for label in sorted(labels)
        if label_path(label) not in changed
    ]


def keep_texts(said: Spoken, folder: Path) -> None:
    """Keep what was said in a private file of the session, one line each; raises OSError.

    Each line is the JSON whose digest the statements carry. Text of artifacts is not kept.
    """
    from agentprov.formats import canonical

    if said.items:
        lines = [canonical.encode(dict(item.members)) + b"\n" for item in said.items]
        atomic_write(folder / TEXTS, b"".join(lines))


def _model(item: Declaration) -> ModelUse:
    members = item.members
    return ModelUse(
        provider=members["provider"],
        requested=members.get("requested"),
        served=members["model"],
        role=members.get("role", "main"),
        basis="declared",
    )


def _about_agent(said: Spoken, session: Session) -> Iterator[str]:
    agent = session.agent
    if agent.basis == "declared":
        named = agent_of(said, agent).name
        if named != agent.name:
            yield f"the agent declares itself {named}, after it was signed as {agent.name}"
        return
    for item in said.of("agent"):
        name, version = item.members["name"], item.members.get("version")
        mine = {_plain(word) for word in (agent.name, agent.purl or "") if word}
        if not any(_plain(name) in one or one in _plain(name) for one in mine):
            yield f"the agent declares itself {name}; {agent.name} is what was started"
        elif version and agent.version and version != agent.version:
            yield f"the agent declares its version {version}; {agent.version} is installed"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _about_plan(said: Spoken, session: Session) -> Iterator[str]:
    for item in said.of("plan"):
        digest = item.members["digest"]["sha256"]
        if session.plan is not None and session.plan.sha256 != digest:
            yield f"the agent declares the plan {digest}; the session has {session.plan.sha256}"


def _stated(item: Declaration, publish: Redactor | None) -> Declared:
    members = item.members
    text = members.get("text") or members.get("purpose")
    return Declared(
        kind=item.kind,
        sha256=item.sha256,
        at=members["at"],
        path=members.get("path"),
        start=members.get("start"),
        end=members.get("end"),
        model=members.get("model"),
        text=publish.redact(text) if publish is not None and text else None,
    )


def _write(item: Declaration, top: Path) -> Edit:
    place = os.path.join(os.fsencode(top), label_path(item.members["path"]))
    return Edit(
        path=os.fsdecode(place),
        text=item.content.decode("utf-8", "replace"),
        tool="declared",
        model=item.members.get("model"),
        basis="declared",
        at=item.members["at"],
    )


def _is_text(path: str) -> bool:
    """Say whether a path can be kept between processes; no line of another is claimed."""
    return not any("\ud800" <= char <= "\udfff" for char in path)


def _nothing_is_known(item: LineRange) -> bool:
    return item.origin == "unknown" and item.why in _OPEN


def _claimed(
    path: bytes, content: bytes, numbers: Collection[int], edits: Sequence[Edit]
) -> dict[int, str | None]:
    """Give which of these lines (from 1) the declared texts hold, and the model of each."""
    notebook = is_notebook(path)
    keys = file_keys(content, notebook=notebook)
    fresh = sorted(number - 1 for number in numbers if number <= len(keys))
    places = Places(keys, fresh, careful=True)
    texts = [Text(edit, text_keys(edit, notebook=notebook)) for edit in edits]
    found: dict[int, str | None] = {}
    for text in reversed(texts):
        for index in list(places.claim(text, texts)):
            found[index + 1] = text.edit.model
    return found


def _lines(ranges: Iterable[LineRange]) -> Iterator[tuple[int, LineRange]]:
    for item in ranges:
        for number in range(item.start, item.end + 1):
            yield number, item


def _joined(lines: Mapping[int, LineRange]) -> tuple[LineRange, ...]:
    joined: list[LineRange] = []
    for number, item in sorted(lines.items()):
        here = replace(item, start=number, end=number)
        last = joined[-1] if joined else None
        if last and last.end == number - 1 and replace(last, start=number, end=number) == here:
            joined[-1] = replace(last, end=number)
        else:
            joined.append(here)
    return tuple(joined)


def _capped(item: LineRange, best: Basis) -> LineRange:
    return item if BASES.index(item.basis) <= BASES.index(best) else replace(item, basis=best)
