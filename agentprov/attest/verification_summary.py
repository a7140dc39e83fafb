"""States what a gate decided, as a SLSA verification summary (VSA)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentprov.attest.descriptors import present, sha256
from agentprov.formats import canonical
from agentprov.formats.names import GATE_VERIFIER, STATEMENT_TYPE, VSA_TYPE
from agentprov.formats.statement import Statement, parse

SLSA_VERSION = "1.2"


def verification_summary(
    *,
    commit: str,
    resource: str,
    verified_at: str,
    policy_sha256: str,
    inputs: Sequence[tuple[str, str]],
    passed: bool,
    levels: Sequence[str],
    commit_uri: str | None = None,
    source_refs: Sequence[str] = (),
    policy_uri: str | None = None,
) -> Statement:
    """State that a commit was verified, by SLSA's verification summary v1 (docs/spec/vsa.md).

    `inputs` are (kind, payload digest) of the statements that the verdict rests on; `source_refs`
    are the refs that pointed at the commit. Raises MalformedInput for facts that no statement
    can hold. Does not judge anything.
    """
    refs = list(source_refs)
    # Both spellings are read: the specification's, and that of the tools that came before it.
    annotations = {"sourceRefs": refs, "source_refs": refs} if refs else {}
    subject: dict[str, Any] = present(
        name="commit", uri=commit_uri, digest={"gitCommit": commit}, annotations=annotations
    )
    predicate = {
        "verifier": {"id": GATE_VERIFIER},
        "timeVerified": verified_at,
        "resourceUri": resource,
        "policy": present(uri=policy_uri, digest=sha256(policy_sha256)),
        "inputAttestations": [
            {"uri": f"urn:agentprov:{kind}", "digest": sha256(digest)} for kind, digest in inputs
        ],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": list(levels),
        "slsaVersion": SLSA_VERSION,
    }
    return parse(
        canonical.encode(
            {
                "_type": STATEMENT_TYPE,
                "subject": [subject],
                "predicateType": VSA_TYPE,
                "predicate": predicate,
            }
        )
    )
