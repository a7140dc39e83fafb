"""What the accepted records say of a commit, in the shape that docs/spec/json-output.md fixes.

Only statements that hold are shown as facts; everything else about the commit is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from agentprov.flows import verify as verifying
from agentprov.flows.world import World
from agentprov.formats.facts import ORIGINS
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.verify import claims
from agentprov.verify.claims import ClaimedPath
from agentprov.verify.coverage import plans_behind
from agentprov.verify.judge import Judgement
from agentprov.verify.output import verdict_json
from agentprov.verify.record import Entry
from agentprov.verify.trust import TrustRoot

SCHEMA = "agentprov-show/1"


def show(world: World, revision: str, root: TrustRoot) -> dict[str, Any]:
    """Give everything that holds of one commit, session by session; raises UserError."""
    targets = verifying.resolve(world.git, [revision])
    judgement = verifying.judge_targets(world, targets, root)
    (commit,) = targets.commits
    return shown(judgement, commit)


def shown(judgement: Judgement, commit: str) -> dict[str, Any]:
    """Give what holds of one of the judged commits."""
    by_session: dict[str, list[Entry]] = {}
    for entry in judgement.accepted:
        if isinstance(entry.view, GenerationView) and entry.view.commit == commit:
            by_session.setdefault(entry.view.session, []).append(entry)
    verdict = verdict_json(judgement.verdict)
    found = next(item for item in verdict["commits"] if item["commit"] == commit)
    return {
        "schema": SCHEMA,
        "commit": commit,
        "coverage": found["coverage"],
        "via": found["via"],
        "sessions": [
            *(_session(parts) for parts in by_session.values()),
            *_carried(judgement, commit),
        ],
        "rewrittenFrom": found["rewrites"],
        "content": found["content"],
        "candidates": found["candidates"],
        "approvals": found["approvals"],
        "findings": [f for f in verdict["findings"] if f["commit"] in (commit, None)],
    }


def _carried(judgement: Judgement, commit: str) -> Iterable[dict[str, Any]]:
    """Give the sessions of commits that this one was made of, with what it has of them now."""
    paths = [
        path
        for path in claims.claims_of(judgement, commit).values()
        if any(item.via != "record" for item in path.ranges) or path.via != "record"
    ]
    sources = {id(entry): entry for path in paths for entry in path.sources}
    for entry in sources.values():
        view = entry.view
        if not isinstance(view, GenerationView) or view.commit == commit:
            continue
        yield {
            **_session([entry]),
            "from": view.commit,
            "files": [
                _carried_file(path, entry)
                for path in paths
                if any(one is entry for one in path.sources)
            ],
        }


def _carried_file(path: ClaimedPath, entry: Entry) -> dict[str, Any]:
    ranges = [item for item in path.ranges if any(one is entry for one in item.sources)]
    counts: dict[str, int] = dict.fromkeys(ORIGINS, 0)
    for item in ranges:
        counts[item.origin] += item.end - item.start + 1
    return {
        "path": path.path,
        "op": path.op,
        "oldPath": path.old_path,
        "mode": path.mode,
        "digest": {"gitBlob": path.blob} if path.blob else {},
        "origins": counts,
        "ranges": [
            {
                "start": item.start,
                "end": item.end,
                "origin": item.origin,
                "basis": item.basis,
                "model": item.model,
                "why": item.why,
                "via": item.via,
                "replayed": item.replayed,
            }
            for item in ranges
        ],
        "why": None,
    }


def _session(parts: list[Entry]) -> dict[str, Any]:
    parts = sorted(parts, key=lambda entry: entry.view.part)  # type: ignore[union-attr]
    used = {id(entry): entry for part in parts for entry in part.everything()}.values()
    generation = _predicate(parts[0])
    opening = next((e for e in used if isinstance(e.view, OpenView)), None)
    closing = next((e for e in used if isinstance(e.view, CloseView)), None)
    plan = next((e for e in used if isinstance(e.view, PlanView)), None)
    opened = _predicate(opening) if opening else {}
    closed = _predicate(closing) if closing else {}
    dependencies = generation["buildDefinition"]["resolvedDependencies"]
    metadata = generation["runDetails"]["metadata"]
    digests = {
        subject.name: dict(subject.digest)
        for part in parts
        if part.statement
        for subject in part.statement.value.subjects
    }
    return {
        "id": metadata["invocationId"],
        "sequence": metadata["agentprov_commit"]["sequence"],
        "from": None,
        "builder": generation["runDetails"]["builder"]["id"],
        "signer": parts[0].statement.signer.person if parts[0].statement else None,
        "complete": closed.get("session", {}).get("outcome") == "completed",
        "startedAt": _offset(metadata["startedOn"]),
        "finishedAt": _offset(closed.get("session", {}).get("finishedOn")),
        "plan": _plan(plan, parts[0]),
        "agent": _agent(opened, dependencies),
        "models": list(_models(dependencies, metadata, closed.get("models", []))),
        "mcpServers": list(_servers(opened, closed, dependencies)),
        "instructions": [
            {"path": item["name"], "role": item["role"], "digest": item.get("digest")}
            for item in opened.get("materials", [])
        ],
        "declarations": [
            {
                "kind": item["kind"],
                "at": _offset(item["on"]),
                "digest": item["digest"],
                "basis": item["basis"],
                "text": item.get("text"),
            }
            for item in closed.get("declarations", [])
        ],
        "gaps": _gaps([*opened.get("gaps", []), *closed.get("gaps", [])]),
        "files": [
            _file(change, digests)
            for part in parts
            for change in _predicate(part)["runDetails"]["metadata"]["agentprov_changes"]
        ],
    }  # fmt: skip


def _gaps(gaps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give gaps, each once: those known at the start stand in both statements."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for gap in gaps:
        value = {
            "from": _offset(gap.get("start")),
            "to": _offset(gap.get("end")),
            "why": gap["why"],
            "detail": gap.get("detail"),
        }
        found.setdefault((value["from"], value["why"], value["detail"]), value)
    return list(found.values())


def _predicate(entry: Entry) -> Mapping[str, Any]:
    return entry.statement.value.predicate if entry.statement else {}


def _plan(entry: Entry | None, generation: Entry) -> dict[str, Any] | None:
    if entry is None or not isinstance(entry.view, PlanView) or entry.statement is None:
        return None
    seen = dict(plans_behind(generation)).get(entry.statement.value.sha256)
    return {
        "name": entry.view.name,
        "digest": {"sha256": entry.view.sha256},
        "signer": seen.signer if seen else None,
        "role": "human",
        "signedAt": _offset(entry.view.declared_at),
    }


def _agent(opened: Mapping[str, Any], dependencies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    agent = opened.get("agent", {})
    found = next((item for item in dependencies if item["name"] == "agent"), {})
    return {
        "name": agent.get("name"),
        "version": agent.get("version") or found.get("annotations", {}).get("version"),
        "purl": agent.get("uri") or found.get("uri"),
        "digest": agent.get("digest") or found.get("digest"),
        "basis": agent.get("basis") or found.get("annotations", {}).get("basis"),
        "why": agent.get("why"),
        "parts": agent.get("parts", []),
    }


def _models(
    dependencies: Iterable[Mapping[str, Any]],
    metadata: Mapping[str, Any],
    closed: Iterable[Mapping[str, Any]],
) -> Iterable[dict[str, Any]]:
    weighed = [item["weights"] for item in closed if "weights" in item]
    unknown = {item["claim"]: item["why"] for item in metadata.get("agentprov_unknown", [])}
    for item in dependencies:
        if not item["name"].startswith("model/"):
            continue
        notes = item.get("annotations", {})
        provider, _, served = item["uri"].removeprefix("pkg:generic/").partition("/")
        digest = item.get("digest")
        whole: Mapping[str, Any] = next(
            (one for one in weighed if digest and one.get("digest") == digest), {}
        )
        yield {
            "provider": unquote(provider),
            "requested": notes.get("requested"),
            "served": unquote(served),
            "uri": item["uri"],
            "role": notes.get("role"),
            "host": notes.get("host"),
            "basis": notes.get("basis"),
            "digest": digest,
            "digestRule": notes.get("digestRule"),
            "digestBasis": notes.get("digestBasis"),
            "weights": whole.get("files", []),
            "weightsWhy": unknown.get(f"weights of {item['name']}") or whole.get("why"),
        }
    for item in metadata.get("agentprov_unknown", []):
        if item["claim"].startswith("model"):
            yield {"served": None, "claim": item["claim"], "why": item["why"]}


def _servers(
    opened: Mapping[str, Any],
    closed: Mapping[str, Any],
    dependencies: Iterable[Mapping[str, Any]],
) -> Iterable[dict[str, Any]]:
    seen = {server["name"]: server for server in closed.get("mcpServers", [])}
    bases = {
        item["name"]: item.get("annotations", {}).get("basis")
        for item in dependencies
        if item["name"].startswith("mcp/")
    }
    for server in opened.get("mcpServers", []):
        passed = seen.get(server["name"], {})
        yield {
            "name": server["name"],
            "purl": server.get("uri"),
            "digest": server.get("digest"),
            "parts": server.get("parts", []),
            "toolsDigest": passed.get("toolsDigest") or server.get("toolsDigest"),
            "stage": passed.get("stage"),
            "tools": passed.get("tools", []),
            "toolChanges": passed.get("toolChanges", []),
            "calls": passed.get("calls", []),
            "basis": server.get("basis") or bases.get("mcp/" + server["name"]),
        }


def _file(change: Mapping[str, Any], digests: Mapping[str, Any]) -> dict[str, Any]:
    counts = dict.fromkeys(ORIGINS, 0)
    for item in change.get("ranges", []):
        counts[item["origin"]] += item["end"] - item["start"] + 1
    return {
        "path": change["path"],
        "op": change["op"],
        "oldPath": change.get("oldPath"),
        "mode": change["mode"],
        "digest": digests.get(change["path"], {}),
        "origins": counts,
        "ranges": [
            {
                "start": item["start"],
                "end": item["end"],
                "origin": item["origin"],
                "basis": item["basis"],
                "model": item.get("model"),
                "why": item.get("why"),
                "via": "record",
                "replayed": None,
            }
            for item in change.get("ranges", [])
        ],
        "why": change.get("why"),
    }


def _offset(time: str | None) -> str | None:
    return None if time is None else time.removesuffix("Z") + "+00:00"
