"""An answer of `query` as a SARIF 2.1.0 log: a run for each repository, a result for each place.

Certain lines are warnings, possible ones notes. Each run says which repository and revision it is
about, so that a forge or an editor can take its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentprov import __version__
from agentprov.flows.query import Part, row
from agentprov.formats.names import FINDINGS_PAGE
from agentprov.formats.sarif import SCHEMA, VERSION, plain, uri
from agentprov.formats.visible import safe

if TYPE_CHECKING:
    from agentprov.query.asking import Hit

_RULES = (
    ("lines-of", "An accepted record says that these lines are what was asked for.", "warning"),
    ("lines-perhaps-of", "It cannot be excluded that these lines are what was asked for.", "note"),
)


def query_sarif(parts: Sequence[Part]) -> dict[str, Any]:
    """Give an answer as one SARIF log, as JSON values; foreign text in messages is made visible."""
    return {"$schema": SCHEMA, "version": VERSION, "runs": [_run(part) for part in parts]}


def _run(part: Part) -> dict[str, Any]:
    state = part.state
    return {
        "tool": {
            "driver": {
                "name": "agentprov",
                "version": __version__,
                "informationUri": FINDINGS_PAGE,
                "rules": [
                    {
                        "id": name,
                        "shortDescription": {"text": text},
                        "defaultConfiguration": {"level": level},
                    }
                    for name, text, level in _RULES
                ],
            }
        },
        "automationDetails": {"id": f"agentprov-query/{safe(state.uri)}"},
        "versionControlProvenance": [
            {
                "repositoryUri": state.uri,
                **({"revisionId": part.revision} if part.revision else {}),
                "mappedTo": {"uriBaseId": "%SRCROOT%"},
            }
        ],
        "invocations": [{"executionSuccessful": True, "endTimeUtc": state.as_of}],
        "results": [_result(part, hit) for hit in part.hits],
        "properties": {
            "asOf": state.as_of,
            "notes": state.tip,
            "trust": f"sha256:{state.trust_sha256}",
            "sessionsWithoutModel": part.unnamed,
            "commitsNotHere": part.absent,
        },
    }


def _result(part: Part, hit: Hit) -> dict[str, Any]:
    number = 0 if hit.certain else 1
    rule, _, level = _RULES[number]
    who = ", ".join(
        item for item in (hit.model, hit.agent, hit.plan and f"plan {hit.plan}") if item
    )
    where = (
        "the file" if hit.start is None
        else f"line {hit.start}" if hit.start == hit.end
        else f"lines {hit.start} to {hit.end}"
    )  # fmt: skip
    why = f" ({hit.why})" if hit.why else ""
    place: dict[str, Any] = {"artifactLocation": {"uri": uri(hit.path), "uriBaseId": "%SRCROOT%"}}
    if hit.start is not None:
        place["region"] = {"startLine": hit.start, "endLine": hit.end}
    mark = _mark(part, hit)
    return {
        "ruleId": rule,
        "ruleIndex": number,
        "level": level,
        "message": {
            "text": plain(f"{where} of {hit.path}: {hit.origin}{why}; {who or 'no name'}; "
                          f"commit {hit.commit[:12]}")
        },
        "locations": [
            {
                "physicalLocation": place,
                "logicalLocations": [{"fullyQualifiedName": hit.commit, "kind": "commit"}],
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": f"{mark[:16]}:1",
                                "agentprovQuery/v1": mark},
        "properties": {
            name: safe(found) if isinstance(found, str) else found
            for name, found in row(part, hit).items()
        },
    }  # fmt: skip


def _mark(part: Part, hit: Hit) -> str:
    """Tell results apart by what came in where; a line that only moved keeps its mark."""
    words = (
        part.state.uri, hit.commit, hit.source_path, str(hit.source_start), hit.record,
        hit.model or "", hit.path,
    )  # fmt: skip
    return hashlib.sha256(
        b"".join(b"%d:%b" % (len(raw), raw) for raw in (word.encode() for word in words))
    ).hexdigest()


__all__ = ["query_sarif"]
