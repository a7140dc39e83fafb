"""The verdict as a SARIF 2.1.0 log, which code scanning reads (docs/spec/report-formats.md).

One run; the catalogue's codes are its rules, each finding is one result. A file is named where
the finding is about one; a result of no file stands at the rules that were applied, where the
caller says which file these are, because forges show no result without a file.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from agentprov import __version__
from agentprov.formats.names import FINDINGS_PAGE
from agentprov.formats.sarif import SCHEMA, VERSION, plain, uri
from agentprov.formats.visible import safe
from agentprov.verify.catalogue import CATALOGUE
from agentprov.verify.finding import Finding, Unproven, Verdict

NOT_PROVEN = "not-proven"
_INDEX = {code: index for index, code in enumerate(CATALOGUE)}


def verdict_sarif(verdict: Verdict, *, rules_path: str | None = None) -> dict[str, Any]:
    """Give the verdict as one SARIF log, as JSON values.

    `rules_path` is the file of the repository, as a label, at which results of no file are
    placed; without it they have a logical location only. Foreign text in messages is made
    visible and cannot form a link.
    """
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {"driver": _driver()},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "exitCode": verdict.exit_code,
                        "endTimeUtc": verdict.as_of,
                        "toolExecutionNotifications": [
                            _notification(item) for item in verdict.not_proven
                        ],
                    }
                ],
                "results": list(_results(verdict, rules_path)),
                "properties": {
                    "verdict": "pass" if verdict.holds else "fail",
                    "target": safe(verdict.target),
                    "policy": verdict.policy_sha256 and f"sha256:{verdict.policy_sha256}",
                    "trust": f"sha256:{verdict.trust_sha256}",
                    "commits": {item.commit: item.coverage for item in verdict.commits},
                    "via": {item.commit: item.via for item in verdict.commits if item.via},
                },
            }
        ],
    }


def _driver() -> dict[str, Any]:
    return {
        "name": "agentprov",
        "version": __version__,
        "informationUri": FINDINGS_PAGE,
        "rules": [
            {
                "id": code,
                "shortDescription": {"text": code.replace("-", " ").capitalize() + "."},
                "helpUri": f"{FINDINGS_PAGE}#{code}",
                "help": {"text": plain(kind.remedy)},
                "defaultConfiguration": {"level": kind.severity},
                "properties": {"exitCode": kind.exit_code},
            }
            for code, kind in CATALOGUE.items()
        ],
        "notifications": [
            {"id": NOT_PROVEN, "shortDescription": {"text": "A claim that is not made, and why."}}
        ],
    }


def _notification(item: Unproven) -> dict[str, Any]:
    return {
        "descriptor": {"id": NOT_PROVEN, "index": 0},
        "level": "note",
        "message": {"text": plain(f"Not proven: {item.claim}: {item.why}")},
        "properties": {"basis": item.basis},
    }


def _results(verdict: Verdict, rules_path: str | None) -> Iterator[dict[str, Any]]:
    seen: Counter[tuple[str, ...]] = Counter()
    for item in verdict.findings:
        place = (item.code, item.commit or "", item.subject, item.path or "")
        fingerprint = _fingerprint(place, seen[place])
        seen[place] += 1
        yield {
            "ruleId": item.code,
            "ruleIndex": _INDEX[item.code],
            "level": item.severity,
            "message": {"text": plain(f"{item.message} ({item.subject}). {item.remedy}")},
            "locations": [_location(item, rules_path)],
            # The first is the name under which GitHub keeps what it would else make from a line.
            "partialFingerprints": {
                "primaryLocationLineHash": f"{fingerprint[:16]}:1",
                "agentprovFinding/v1": fingerprint,
            },
            "properties": {
                "exitCode": item.exit_code,
                "subject": safe(item.subject),
                "commit": item.commit,
                "path": item.path and safe(item.path),
            },
        }


def _fingerprint(place: tuple[str, ...], occurrence: int) -> str:
    """Tell results apart by what they are about; wording and order of others do not count."""
    parts = [*place, str(occurrence)]
    data = b"".join(
        b"%d:%b" % (len(part), part)
        for part in (text.encode("utf-8", "surrogatepass") for text in parts)
    )
    return hashlib.sha256(data).hexdigest()


def _location(item: Finding, rules_path: str | None) -> dict[str, Any]:
    name = item.commit or safe(item.subject)
    found: dict[str, Any] = {
        "logicalLocations": [
            {"fullyQualifiedName": name, "kind": "commit" if item.commit else "record"}
        ]
    }
    path = item.path or rules_path
    if path is not None:
        found["physicalLocation"] = {
            "artifactLocation": {"uri": uri(path), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 1},
        }
    return found


__all__ = ["NOT_PROVEN", "SCHEMA", "verdict_sarif"]
