"""The verdict as the JSON that scripts read (docs/spec/json-output.md)."""

from __future__ import annotations

from typing import Any

from agentprov.formats.evidence import TrustedTime
from agentprov.verify.finding import ApprovalRef, CommitVerdict, ContentRef, GenerationRef, Verdict

SCHEMA = "agentprov-verify/1"


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Give the verdict as one JSON object; keys only ever grow. Times carry an offset."""
    return {
        "schema": SCHEMA,
        "verdict": "pass" if verdict.holds else "fail",
        "exitCode": verdict.exit_code,
        "target": verdict.target,
        "findings": [
            {
                "code": item.code,
                "severity": item.severity,
                "exitCode": item.exit_code,
                "subject": item.subject,
                "commit": item.commit,
                "path": item.path,
                "message": item.message,
                "remedy": item.remedy,
            }
            for item in verdict.findings
        ],
        "commits": [_commit(item) for item in verdict.commits],
        "notProven": [
            {"claim": item.claim, "why": item.why, "basis": item.basis}
            for item in verdict.not_proven
        ],
        "policy": {
            "digest": {"sha256": verdict.policy_sha256} if verdict.policy_sha256 else None,
            "source": verdict.policy_source,
        },
        "trust": {"digest": {"sha256": verdict.trust_sha256}, "source": verdict.trust_source},
        "asOf": verdict.as_of.removesuffix("Z") + "+00:00",
    }


def _commit(verdict: CommitVerdict) -> dict[str, Any]:
    return {
        "commit": verdict.commit,
        "coverage": verdict.coverage,
        "via": verdict.via,
        "generations": [_generation(item) for item in verdict.generations],
        "rewrites": [
            {
                "digest": {"sha256": item.sha256},
                "method": item.method,
                "signer": item.signer,
                "builder": item.builder,
                "commits": list(item.commits),
                "replayed": item.replayed,
                "lines": {"claimed": item.claimed, "carried": item.carried},
                "generations": [
                    {**_generation(one), "commit": one.commit} for one in item.generations
                ],
            }
            for item in verdict.rewrites
        ],
        "content": [_content(item) for item in verdict.content],
        "candidates": [_content(item) for item in verdict.candidates],
        "plans": [
            {
                "name": item.name,
                "digest": {"sha256": item.sha256},
                "statement": {"sha256": item.statement_sha256},
                "signer": item.signer,
                "signedAt": item.declared_at.removesuffix("Z") + "+00:00",
                "trustedTime": _time(item.proven),
            }
            for item in verdict.plans
        ],
        "approvals": [approval_json(item) for item in verdict.approvals],
    }


def _generation(ref: GenerationRef) -> dict[str, Any]:
    return {
        "digest": {"sha256": ref.sha256},
        "session": ref.session,
        "sequence": ref.sequence,
        "part": ref.part,
        "signer": ref.signer,
        "builder": ref.builder,
    }


def _content(found: ContentRef) -> dict[str, Any]:
    return {
        **_generation(found.generation),
        "commit": found.commit,
        "key": found.key,
        "paths": list(found.paths),
    }


def approval_json(approval: ApprovalRef) -> dict[str, Any]:
    """Give one decision about a commit as JSON."""
    return {
        "digest": {"sha256": approval.sha256},
        "signer": approval.signer,
        "role": approval.role,
        "decision": approval.decision,
        "decidedAt": approval.decided_at.removesuffix("Z") + "+00:00",
        "notAfter": (
            None if approval.not_after is None else approval.not_after.removesuffix("Z") + "+00:00"
        ),
        "valid": approval.valid,
        "partial": approval.partial,
        "trustedTime": _time(approval.proven),
    }


def _time(proven: TrustedTime | None) -> dict[str, str] | None:
    return {"at": proven.at.isoformat(), "authority": proven.authority} if proven else None
