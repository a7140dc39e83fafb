"""Generation: SLSA Provenance v1 for one commit that one session made or fed.

The commit is the first subject, under the name ``.`` (the root of its tree, a name that no file
can have); files follow, under their path labels. Members that SLSA does not know carry the
prefix ``agentprov_``. `externalParameters` is closed, as SLSA asks of verifiers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from agentprov.formats import schema
from agentprov.formats.digest import LENGTHS
from agentprov.formats.names import AGENT_SESSION_BUILD
from agentprov.formats.predicates import parts
from agentprov.formats.vocabulary import OPERATIONS, ORIGINS

if TYPE_CHECKING:
    from agentprov.formats.carrying import StatedChange

COMMIT_NAME = "."
SUBJECTS_PER_PART = 1_000
SUBMODULE = "160000"
_COMPARED = frozenset({"sha256", "gitBlob"})


def _build_type(value: Any) -> None:
    if value != AGENT_SESSION_BUILD:
        raise schema.Mismatch(f"must be {AGENT_SESSION_BUILD}")


def _describes(value: Any) -> str | None:
    if "uri" in value or "digest" in value:
        return None
    return "needs a uri or a digest"


_ANNOTATIONS = schema.members(
    {},
    {
        "basis": parts.BASIS,
        "requested": schema.text(most=512),
        "role": schema.text(most=64),
        "host": schema.text(most=512),
        "version": schema.text(most=256),
        "signature": schema.sha256_set,
        "digestRule": schema.uri,
        "digestBasis": parts.BASIS,
        "why": parts.WHY,
    },
    unknown="ignore",
)

_DEPENDENCY = schema.constrained(
    schema.members(
        {"name": parts.NAME},
        {
            "uri": schema.uri,
            "digest": schema.digest_set,
            "mediaType": schema.text(most=256),
            "annotations": _ANNOTATIONS,
        },
        unknown="ignore",
    ),
    _describes,
)


_RANGE = schema.constrained(
    schema.members(
        {
            "start": schema.integer(least=1),
            "end": schema.integer(least=1),
            "origin": schema.one_of(ORIGINS),
            "basis": parts.BASIS,
        },
        {"model": schema.text(most=512), "why": parts.WHY},
        unknown="ignore",
    ),
    parts.forwards,
)


CHANGE = schema.constrained(
    schema.members(
        {"path": schema.path, "op": schema.one_of(OPERATIONS), "mode": schema.git_mode},
        {
            "gitBlob": schema.object_id,
            "oldPath": schema.path,
            "ranges": schema.array(_RANGE),
            "added": schema.text(pattern=r"[0-9a-f]{32}"),
            "fromSession": schema.boolean,
            "why": parts.WHY,
        },
        unknown="ignore",
    ),
    parts.shape_of_change,
)

CHECK = schema.members(
    {
        "buildDefinition": schema.members(
            {
                "buildType": _build_type,
                "externalParameters": schema.members(
                    {"agent": parts.NAME},
                    {
                        "plan": parts.NAME,
                        "ref": schema.text(most=4_096),
                        "mcpServers": schema.array(parts.NAME, most=1_000),
                        "labels": schema.mapping(schema.text(least=0, most=4_096), most=100),
                    },
                ),
                "resolvedDependencies": schema.array(_DEPENDENCY, least=1, most=20_000),
            },
            unknown="ignore",
        ),
        "runDetails": schema.members(
            {
                "builder": parts.BUILDER,
                "metadata": schema.members(
                    {
                        "invocationId": parts.SESSION_ID,
                        "startedOn": schema.time,
                        "agentprov_commit": schema.members(
                            {
                                "repository": schema.uri,
                                "gitCommit": schema.object_id,
                                "gitTree": schema.object_id,
                                "parents": schema.array(schema.object_id, most=1_000),
                                "sequence": parts.SEQUENCE,
                            },
                            {
                                "during": schema.boolean,
                                "patchId": schema.object_id,
                                "part": schema.integer(least=1, most=100_000),
                                "parts": schema.integer(least=2, most=100_000),
                            },
                            unknown="ignore",
                        ),
                        "agentprov_changes": schema.array(CHANGE),
                    },
                    {
                        "finishedOn": schema.time,
                        "agentprov_unknown": schema.array(
                            schema.members(
                                {"claim": parts.NAME, "why": parts.WHY}, unknown="ignore"
                            ),
                            most=1_000,
                        ),
                        "agentprov_gaps": parts.GAPS,
                        "agentprov_declared": schema.array(parts.DECLARED_ARTIFACT, most=1_000),
                    },
                    unknown="ignore",
                ),
            },
            unknown="ignore",
        ),
    },
    unknown="ignore",
)


class ChangeView(NamedTuple):
    """One changed path as it was signed; `sha256` is that of the subject with the same label.

    `added` is the digest of its added lines (formats.carrying.added_digest).
    """

    path: str
    op: str
    mode: str
    blob: str | None
    old_path: str | None
    sha256: str | None
    from_session: bool
    added: str | None = None

    @property
    def leaves_content(self) -> bool:
        """Say whether the session left bytes at this path; a submodule has none."""
        return self.from_session and self.op not in ("delete", "mode") and self.mode != SUBMODULE


class GenerationView(NamedTuple):
    """The members of a generation statement that the chain and the byte checks need.

    `plan` is (payload digest, signature digest) of the plan statement; `models` are the served
    models' URIs; `agent_lines` are paths with how many lines the agent put there by itself.
    """

    session: str
    started: str
    builder: str
    repository: str
    sequence: int
    part: int
    parts: int
    during: bool
    commit: str
    tree: str
    parents: tuple[str, ...]
    changes: tuple[ChangeView, ...]
    open_sha256: str | None
    plan: tuple[str, str] | None
    plan_sha256: str | None
    agent: str
    agent_sha256: str | None
    models: tuple[str, ...]
    agent_lines: tuple[tuple[str, int], ...]
    patch_id: str | None = None


def is_ours(predicate: Mapping[str, Any]) -> bool:
    """Say whether this SLSA provenance claims our build type; anybody else's is not our affair."""
    definition = predicate.get("buildDefinition")
    return isinstance(definition, dict) and definition.get("buildType") == AGENT_SESSION_BUILD


def view(subjects: parts.Subjects, predicate: Mapping[str, Any]) -> GenerationView:
    """Read a checked generation statement."""
    metadata = predicate["runDetails"]["metadata"]
    commit = metadata["agentprov_commit"]
    contents = {name: digests.get("sha256") for name, digests in subjects[1:]}
    dependencies = predicate["buildDefinition"]["resolvedDependencies"]
    named = {item["name"]: item for item in dependencies}
    return GenerationView(
        session=metadata["invocationId"],
        started=metadata["startedOn"],
        builder=predicate["runDetails"]["builder"]["id"],
        repository=commit["repository"],
        sequence=commit["sequence"],
        part=commit.get("part", 1),
        parts=commit.get("parts", 1),
        during=commit.get("during", True),
        commit=commit["gitCommit"],
        tree=commit["gitTree"],
        parents=tuple(commit["parents"]),
        changes=tuple(
            ChangeView(
                path=item["path"],
                op=item["op"],
                mode=item["mode"],
                blob=item.get("gitBlob"),
                old_path=item.get("oldPath"),
                sha256=contents.get(item["path"]),
                from_session=item.get("fromSession", True),
                added=item.get("added"),
            )
            for item in metadata["agentprov_changes"]
        ),
        open_sha256=_sha256(named.get("session-attestation")),
        plan=_plan_edge(named.get("plan-attestation")),
        plan_sha256=_sha256(named.get("plan")),
        agent=predicate["buildDefinition"]["externalParameters"]["agent"],
        agent_sha256=_sha256(named.get("agent")),
        models=tuple(item["uri"] for item in dependencies if item["name"].startswith("model/")),
        agent_lines=tuple(_agent_lines(metadata["agentprov_changes"])),
        patch_id=commit.get("patchId"),
    )


def stated(predicate: Mapping[str, Any], source: int) -> dict[str, StatedChange]:
    """Give what a checked statement says of each path, for carrying it to a rewritten commit.

    `source` numbers the statement among those of the caller.
    """
    from agentprov.formats.carrying import Claim, StatedChange

    return {
        item["path"]: StatedChange(
            item["op"],
            item.get("oldPath"),
            tuple(
                Claim(
                    one["start"],
                    one["end"],
                    one["origin"],
                    one["basis"],
                    one.get("model"),
                    one.get("why"),
                    source,
                )
                for one in item.get("ranges", ())
            ),
            item.get("added"),
            item.get("gitBlob"),
            item["mode"],
            source,
        )
        for item in predicate["runDetails"]["metadata"]["agentprov_changes"]
        if item.get("fromSession", True)
    }


def _agent_lines(changes: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """Give (path, count) where lines stand that the agent put there and no model said."""
    for change in changes:
        count = sum(
            item["end"] - item["start"] + 1
            for item in change.get("ranges", ())
            if item["origin"] == "agent"
        )
        if count:
            yield change["path"], count


def _sha256(dependency: Mapping[str, Any] | None) -> str | None:
    return None if dependency is None else dependency.get("digest", {}).get("sha256")


def _plan_edge(dependency: Mapping[str, Any] | None) -> tuple[str, str] | None:
    if dependency is None:
        return None
    return dependency["digest"]["sha256"], dependency["annotations"]["signature"]["sha256"]


def bases(predicate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give (JSON pointer, basis) of every claim in a generation statement."""
    dependencies = predicate["buildDefinition"]["resolvedDependencies"]
    for index, item in enumerate(dependencies):
        notes = item.get("annotations", {})
        for key in ("basis", "digestBasis"):
            if key in notes:
                yield f"/buildDefinition/resolvedDependencies/{index}", notes[key]
    for index, change in enumerate(predicate["runDetails"]["metadata"]["agentprov_changes"]):
        for number, item in enumerate(change.get("ranges", ())):
            yield (
                f"/runDetails/metadata/agentprov_changes/{index}/ranges/{number}",
                item["basis"],
            )
    for number, item in enumerate(
        predicate["runDetails"]["metadata"].get("agentprov_declared", ())
    ):
        yield f"/runDetails/metadata/agentprov_declared/{number}", item["basis"]


def contradiction(subjects: parts.Subjects, predicate: Mapping[str, Any]) -> str | None:
    """Say what in the statement cannot be true together, or None."""
    metadata = predicate["runDetails"]["metadata"]
    definition = predicate["buildDefinition"]
    commit = metadata["agentprov_commit"]
    name, digests = subjects[0]
    if name != COMMIT_NAME or digests.get("gitCommit") != commit["gitCommit"]:
        return "its first subject is not the commit it describes"
    if digests.get("gitTree", commit["gitTree"]) != commit["gitTree"]:
        return "subject and commit record name different trees"
    if ("part" in commit) != ("parts" in commit) or commit.get("part", 1) > commit.get("parts", 1):
        return "part and parts do not fit together"
    return _subjects_against_changes(subjects, metadata) or _dependencies(definition)


def _subjects_against_changes(subjects: parts.Subjects, metadata: Mapping[str, Any]) -> str | None:
    changes: dict[str, Mapping[str, Any]] = {}
    for change in metadata["agentprov_changes"]:
        if change["path"] in changes:
            return f"{change['path']!r} is changed twice"
        changes[change["path"]] = change
    seen: set[str] = set()
    for name, digests in subjects[1:]:
        if name in seen:
            return f"{name!r} is a subject twice"
        seen.add(name)
        if name not in changes or changes[name]["op"] == "delete":
            return f"the subject {name!r} is no change that leaves a file"
        if "sha256" in digests and (digests.keys() & LENGTHS.keys()) - _COMPARED:
            # Beside a right digest a wrong one must not pass; what nobody here makes might be it.
            return f"{name!r} has digests that no verifier here compares"
        if "gitBlob" in digests and digests["gitBlob"] != changes[name]["gitBlob"]:
            return f"two blobs are named for {name!r}"
        if not changes[name].get("fromSession", True):
            return f"{name!r} is a subject, yet not from the session"
    return None


def _dependencies(definition: Mapping[str, Any]) -> str | None:
    named: dict[str, Mapping[str, Any]] = {}
    for item in definition["resolvedDependencies"]:
        if item["name"] in named:
            return f"the dependency {item['name']!r} stands there twice"
        named[item["name"]] = item
    if _sha256(named.get("session-attestation")) is None:
        return "it does not point at its session's opening statement"
    attestation = named.get("plan-attestation")
    if attestation is not None and (
        _sha256(attestation) is None or "signature" not in attestation.get("annotations", {})
    ):
        return "the edge to the plan needs the payload's and the signature's digest"
    planned = {"plan" in named, attestation is not None}
    planned.add("plan" in definition["externalParameters"])
    if len(planned) != 1:
        return "plan parameter, plan and plan-attestation come together"
    if any(name.startswith("model/") and "uri" not in item for name, item in named.items()):
        return "a model needs a uri"
    return None


__all__ = [
    "CHANGE",
    "CHECK",
    "COMMIT_NAME",
    "SUBJECTS_PER_PART",
    "ChangeView",
    "GenerationView",
    "bases",
    "contradiction",
    "is_ours",
    "stated",
    "view",
]
