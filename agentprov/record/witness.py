"""What the wire and the agent's own channels say together, and where they contradict each other.

The wire is the better witness of what a model said; the agent's channels are the only one of
which calls it carried out. Neither is copied into the other: where they differ, it is said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agentprov.formats.exchange import Exchange, ToolCall, line_mac
from agentprov.formats.facts import AgentReport, Asked, Edit, Gap, ModelUse
from agentprov.formats.lineage import is_distinctive
from agentprov.record.transforms import squeezed, text_keys
from agentprov.record.versions import instant

NAMELESS_SERVED = "the answer names no model"
_MAX_SENTENCES = 100
_MAX_SAID = 200_000
_COMMAND_ARGUMENTS = ("command", "cmd")


def merge(
    report: AgentReport,
    exchanges: Sequence[Exchange],
    edits_of: Callable[[ToolCall, str], Sequence[Edit]],
    cwd: str,
    *,
    key: bytes,
    gateway_gaps: Sequence[Gap],
    relayed: bool,
) -> AgentReport:
    """Put what was seen on the wire beside what the agent reported.

    `edits_of` reads the writes in a tool call (an adapter's), `key` is the one that the
    exchanges' `prompt_lines` were made with, `relayed` says that the agent was pointed at the
    gateway from its start. Gives the report with models, `wire`, `wire_complete`, `said`,
    contradictions and gaps added. Does not look at files.
    """
    if not exchanges:
        return replace(report, gaps=(*report.gaps, *gateway_gaps))
    ordered = sorted(exchanges, key=lambda one: (instant(one.finished), one.number))
    wire = _Wire()
    for exchange in ordered:
        wire.take(exchange, edits_of, cwd, key, _until(exchange, ordered))
    seen = relayed and not gateway_gaps and not _unseen_answers(ordered)
    contradictions = [*_other_models(report, ordered, complete=seen)]
    contradictions += _other_calls(report, wire, complete=seen)
    unheard = [edit for edit in report.edits if not wire.holds(edit)]
    for edit in unheard if seen else ():
        contradictions.append(f"the agent reports a write to {edit.path} that no answer asked for")
    return replace(
        report,
        models=_models(report.models, ordered, complete=seen),
        gaps=(*report.gaps, *gateway_gaps, *_failures(ordered)),
        wire=tuple(wire.edits),
        wire_complete=seen and not unheard and len(wire.said) <= _MAX_SAID,
        contradictions=(*report.contradictions, *dict.fromkeys(contradictions))[:_MAX_SENTENCES],
        said=tuple(wire.said.items())[:_MAX_SAID],
        asked=tuple(wire.others),
        said_key=key.hex(),
    )


@dataclass
class _Wire:
    """The answers of a session so far."""

    edits: list[Edit] = field(default_factory=list)
    by_call: dict[str, list[Edit]] = field(default_factory=dict)
    by_path: dict[str, list[Edit]] = field(default_factory=dict)
    calls: dict[str, ToolCall] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    others: list[Asked] = field(default_factory=list)

    def take(
        self,
        exchange: Exchange,
        edits_of: Callable[[ToolCall, str], Sequence[Edit]],
        cwd: str,
        key: bytes,
        until: str | None,
    ) -> None:
        self.asked.update(exchange.prompt_lines)
        # An answer that was cut off may have been used, or not; it proves nothing.
        if not (exchange.complete and _succeeded(exchange)):
            return
        # An agent may carry a call out while the rest of the answer still streams, so the time
        # before which nothing can have come of it is that of the request.
        for text in exchange.texts:
            self._say(text, key, exchange.started)
        for call in exchange.tool_calls:
            self.calls[call.id] = call
            for text in _texts_in(call.arguments):
                self._say(text, key, exchange.started)
            edits = edits_of(call, cwd)
            if not edits:
                texts = tuple(_commands_in(call.arguments))
                self.others.append(Asked(exchange.started, until, texts))
            for edit in edits:
                self._say(edit.text, key, exchange.started)
                self._write(
                    replace(
                        edit,
                        basis="intercepted",
                        at=exchange.started,
                        call_id=call.id,
                        model=exchange.served,
                        echoed=self._echoed(edit.text, key),
                        until=until,
                    )
                )

    def _write(self, edit: Edit) -> None:
        self.edits.append(edit)
        self.by_call.setdefault(edit.call_id or "", []).append(edit)
        self.by_path.setdefault(edit.path, []).append(edit)

    def _echoed(self, text: str, key: bytes) -> tuple[int, ...]:
        return tuple(
            number
            for number, line in enumerate(text.split("\n"), start=1)
            if is_distinctive(line.encode("utf-8", "replace")) and line_mac(key, line) in self.asked
        )

    def _say(self, text: str, key: bytes, at: str) -> None:
        for line in text.split("\n"):
            mac = _said_mac(key, line.encode("utf-8", "replace"))
            if mac is not None:
                self.said.setdefault(mac, at)

    def holds(self, edit: Edit) -> bool:
        """Say whether an answer asked for this reported write, by its call, else by its text.

        A line in common is enough: what else the report holds is then for the origins to judge.
        """
        if edit.call_id is not None and edit.call_id in self.calls:
            return True
        mine = {line for line in text_keys(edit) if is_distinctive(line)}
        return any(
            _akin(edit, other) or not mine.isdisjoint(text_keys(other))
            for other in self.by_path.get(edit.path, ())
        )


def _said_mac(key: bytes, line: bytes) -> str | None:
    """Give the digest by which a line of an answer is found again after reformatting, if any."""
    core = squeezed(line)
    return line_mac(key, core.decode("utf-8", "replace")) if core else None


def _texts_in(arguments: str) -> Iterator[str]:
    """Give every text in a call's arguments as it would be used: JSON strings without escapes."""
    try:
        value: Any = json.loads(arguments)
    except (ValueError, RecursionError):
        yield arguments
        return
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list):
            todo += one


def _commands_in(arguments: str) -> Iterator[str]:
    """Give the command lines in a call's arguments, whole: words of a list are one line."""
    try:
        value: Any = json.loads(arguments)
    except (ValueError, RecursionError):
        return
    for name in _COMMAND_ARGUMENTS if isinstance(value, dict) else ():
        line = value.get(name)
        if isinstance(line, list):
            line = " ".join(word for word in line if isinstance(word, str))
        if isinstance(line, str):
            yield line


def _succeeded(exchange: Exchange) -> bool:
    return 200 <= exchange.status < 300


def _is_model_call(exchange: Exchange) -> bool:
    return bool(exchange.requested or exchange.served or exchange.texts or exchange.tool_calls)


def _unseen_answers(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Give answers that may have held writes which we could not read, and were not asked anew."""
    # A whole answer may carry a remark (`why`) that takes nothing from what it holds.
    repeated = Counter(one.request_mac for one in exchanges if one.complete and _succeeded(one))
    return [
        one
        for one in exchanges
        if _succeeded(one)
        and not one.complete
        and not (one.request_mac and repeated[one.request_mac])
    ]


def _until(exchange: Exchange, exchanges: Sequence[Exchange]) -> str | None:
    """Give when the same conversation's next request began: its tools had answered by then."""
    later = [
        one.started
        for one in exchanges
        if instant(one.started) >= instant(exchange.finished)
        and one.role == exchange.role
        and one.agent_session == exchange.agent_session
    ]
    return min(later, key=instant, default=None)


def _models(
    reported: Sequence[ModelUse], exchanges: Sequence[Exchange], *, complete: bool
) -> tuple[ModelUse, ...]:
    """Count calls from the wire; what the agent reports beyond them stays, at its own basis."""
    uses: dict[tuple[str, str | None, str | None, str, str], ModelUse] = {}
    for one in exchanges:
        if not (one.complete and _succeeded(one) and _is_model_call(one)):
            continue
        name = (one.provider, one.requested, one.served, one.role, one.host)
        use = uses.get(name) or ModelUse(
            provider=one.provider,
            requested=one.requested,
            served=one.served,
            role=one.role,
            basis="intercepted",
            why=None if one.served else NAMELESS_SERVED,
            host=one.host,
            parameters=one.parameters,
        )
        uses[name] = replace(
            use,
            parameters=tuple(item for item in use.parameters if item in one.parameters),
            calls=use.calls + 1,
            input_tokens=use.input_tokens + one.input_tokens,
            output_tokens=use.output_tokens + one.output_tokens,
        )
    left = () if complete else _beyond(reported, list(uses.values()))
    return (*uses.values(), *left)


def _beyond(reported: Sequence[ModelUse], seen: Sequence[ModelUse]) -> Iterator[ModelUse]:
    budget = {index: use.calls for index, use in enumerate(seen)}
    for use in reported:
        calls = use.calls
        for index, other in enumerate(seen):
            same = use.served == other.served if use.served else use.requested == other.requested
            if same and use.role == other.role:
                taken = min(calls, budget[index])
                budget[index] -= taken
                calls -= taken
        if calls or not use.calls:
            # Which of the tokens belong to the calls that are left nobody said.
            whole = calls == use.calls
            yield replace(
                use,
                calls=calls,
                input_tokens=use.input_tokens if whole else 0,
                output_tokens=use.output_tokens if whole else 0,
            )


def _failures(exchanges: Sequence[Exchange]) -> Iterator[Gap]:
    """Tell calls that gave no whole answer: they count as no use of a model."""
    failed = [one for one in exchanges if not _succeeded(one)]
    if failed:
        counts = Counter(one.status for one in failed)
        words = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))
        yield Gap("model-calls-failed", failed[0].started, failed[-1].finished, words)
    cut = [one for one in exchanges if _succeeded(one) and not one.complete]
    if cut:
        yield Gap(
            "answers-cut-off", cut[0].started, cut[-1].finished, f"{len(cut)} without their end"
        )


def _other_models(
    report: AgentReport, exchanges: Sequence[Exchange], *, complete: bool
) -> Iterator[str]:
    served = {one.served for one in exchanges if one.complete and one.served}
    for use in report.models:
        if complete and use.served and served and use.served not in served:
            heard = ", ".join(sorted(served))
            yield f"the agent says that {use.served} answered; the wire says {heard}"


def _other_calls(report: AgentReport, wire: _Wire, *, complete: bool) -> Iterator[str]:
    reported: dict[str, list[Edit]] = {}
    for edit in report.edits:
        if edit.call_id is not None:
            reported.setdefault(edit.call_id, []).append(edit)
    for call, edits in reported.items():
        if call in wire.by_call and not _agree(wire.by_call[call], edits):
            yield f"call {call} wrote other text than the model sent, says the agent's own report"
    if not (complete and report.known_calls):
        return
    known = {*report.known_calls, *reported}
    for call in sorted(known - wire.calls.keys()):
        yield f"the agent tells of call {call}, which no answer holds"
    for call in wire.by_call:
        if call not in known:
            yield f"an answer asks for write {call}, of which the agent tells nothing"


def _agree(sent: Sequence[Edit], told: Sequence[Edit]) -> bool:
    """Say whether a report of one call fits what the model sent in it.

    A report may tell the pieces of a text apart, or show whole lines where the model sent a
    part of one; it may not hold a line more.
    """
    return {edit.path for edit in told} <= {edit.path for edit in sent} and all(
        any(_akin(one, other) for other in sent if other.path == one.path) for one in told
    )


def _akin(told: Edit, sent: Edit) -> bool:
    mine, other = (b"\n".join(text_keys(edit)).strip() for edit in (told, sent))
    if mine in other:
        return True
    return other in mine and other.count(b"\n") == mine.count(b"\n") and bool(other)


def said_of(report: AgentReport) -> Callable[[bytes, datetime | None], bool]:
    """Give a test whether a line, or one that differs in punctuation, stood in an answer by then.

    Without a time: in any answer of the session.
    """
    said = {mac: instant(at) for mac, at in report.said}
    key = bytes.fromhex(report.said_key)

    def was_said(line: bytes, by: datetime | None) -> bool:
        mac = _said_mac(key, line)
        return mac is not None and mac in said and (by is None or said[mac] <= by)

    return was_said
