"""Every code a finding can have: its exit code, how bad it is by itself, and the way out.

docs/spec/findings.md has one entry per code; a test keeps both lists the same. Codes are a
contract: they are added, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]

EXIT_ORDER = (16, 11, 17, 12, 14, 15, 18, 19, 10, 13)
"""Which exit code wins when several apply (docs/spec/exit-codes.md)."""


class Kind(NamedTuple):
    """What a code stands for; `remedy` is what a person can do about it."""

    exit_code: int
    severity: Severity
    remedy: str


_ASK = "Ask whoever recorded this for the original record, and find out who changed it."
_FETCH = "Fetch the records (`agentprov sync --no-push`), or ask who recorded it."
_RECORDER = "Do not trust this recorder's key until it is known how this came to be signed."

_LOG = (
    "Find out what removed or replaced the log (a restored copy?); "
    "then `agentprov checkpoint accept`."
)

_REMOTE = (
    "Find out who changed the records there; `agentprov sync REMOTE` puts them back, "
    "`--accept` takes it as it is."
)

CATALOGUE: Mapping[str, Kind] = {
    "trust-empty": Kind(
        16, "error", "Commit .agentprov/trust.yaml, or run `agentprov init` to make a key."
    ),
    "bundle-malformed": Kind(14, "error", _ASK),
    "payload-type": Kind(14, "error", "Only in-toto statements are accepted here."),
    "statement-malformed": Kind(14, "error", _ASK),
    "predicate-unknown": Kind(
        14, "error", "Verify this statement with the tool that knows its type."
    ),
    "weak-digest": Kind(14, "error", "Record again with sha256 digests."),
    "basis-above-cap": Kind(14, "error", _RECORDER),
    "signature-invalid": Kind(11, "error", _ASK),
    "signer-unknown": Kind(
        17, "error", "If you know this key to be good, add it to .agentprov/trust.yaml."
    ),
    "evidence-unchecked": Kind(
        19, "error", "Verify with the `agentprov` command, which can check certificates."
    ),
    "evidence-left-aside": Kind(
        19, "note", "Name the authority in .agentprov/trust.yaml if its word shall count."
    ),
    "sigstore-root-invalid": Kind(
        16, "error", "Put the instance's trusted_root.json beside trust.yaml, with its digest."
    ),
    "certificate-unknown": Kind(
        17, "error", "If you know this Sigstore instance, name its root in .agentprov/trust.yaml."
    ),
    "certificate-unfit": Kind(
        17, "error", "Have it signed with a certificate of Sigstore's profile."
    ),
    "certificate-expired": Kind(
        18, "error", "Have it signed again: the certificate was not valid when it was used."
    ),
    "authority-expired": Kind(
        18, "error", "Have it signed again by an instance whose services are current."
    ),
    "certificate-unlogged": Kind(
        19, "error", "Have it signed again; ask the instance why its certificate is in no log."
    ),
    "log-entry-missing": Kind(
        19, "error", "Find the bundle as it was signed; what proves that it was logged is gone."
    ),
    "log-entry-invalid": Kind(19, "error", _ASK),
    "log-entry-differs": Kind(19, "error", _ASK),
    "signing-time-missing": Kind(
        19, "error", "Have it signed again with a timestamp authority or a log that gives times."
    ),
    "evidence-refused": Kind(19, "error", _ASK),
    "signer-role": Kind(
        17, "error", "Have it signed by somebody who holds the role, or change trust.yaml."
    ),
    "signer-retired": Kind(
        18, "error", "Have it signed again by somebody who still may, or name a later commit."
    ),
    "signer-builder": Kind(
        17, "error", "List the builder id for this key in trust.yaml if that is meant."
    ),
    "commit-differs": Kind(12, "error", _RECORDER),
    "change-differs": Kind(12, "error", _RECORDER),
    "content-differs": Kind(12, "error", _RECORDER),
    "changed-since-recorded": Kind(
        12, "error", "Compare the two commits; have this one recorded, or reviewed by a person."
    ),
    "presentation-differs": Kind(
        12, "error", "Have the plan signed again by someone who reads it."
    ),
    "content-missing": Kind(10, "error", "Fetch the missing objects (partial or shallow clone?)."),
    "commit-missing": Kind(10, "error", "Fetch the commit that the record describes."),
    "session-twice": Kind(15, "error", _RECORDER),
    "sequence-twice": Kind(15, "error", _RECORDER),
    "commit-twice": Kind(15, "error", _RECORDER),
    "close-twice": Kind(15, "error", _RECORDER),
    "part-missing": Kind(10, "error", _FETCH),
    "edge-forbidden": Kind(15, "error", _RECORDER),
    "session-open-missing": Kind(10, "error", _FETCH),
    "session-differs": Kind(15, "error", _RECORDER),
    "plan-missing": Kind(10, "error", _FETCH),
    "plan-differs": Kind(15, "error", _RECORDER),
    "plan-signature-differs": Kind(
        15, "error", "Find the signature that existed when the session began; later ones are void."
    ),
    "plan-after-session": Kind(15, "error", "Sign plans before work starts."),
    "plan-elsewhere": Kind(15, "error", "Sign a plan for this repository."),
    "plan-exceeded": Kind(
        15, "error", "Have a plan signed that allows this, or take the work back."
    ),
    "plan-expired": Kind(18, "error", "Sign the plan again before the next session."),
    "generation-missing": Kind(10, "error", _FETCH),
    "generation-unlisted": Kind(15, "error", _RECORDER),
    "sequence-broken": Kind(15, "error", _RECORDER),
    "time-in-future": Kind(15, "error", "Check the clocks of this machine and of the recorder's."),
    "record-of-another-commit": Kind(
        15, "error", "A record speaks for its own commit only; record this one, or rewrite-link it."
    ),
    "rewrite-source-missing": Kind(10, "error", _FETCH),
    "rewrite-source-differs": Kind(15, "error", _RECORDER),
    "rewrite-chain": Kind(15, "error", _RECORDER),
    "rewrite-claims-more": Kind(15, "error", _RECORDER),
    "rewrite-differs": Kind(12, "error", _RECORDER),
    "rewrite-not-replayed": Kind(
        10, "note", "Verify in a clone that still has the old commits, or take the signer's word."
    ),
    "content-found": Kind(
        10, "note", "Rewrite where hooks run, so that a signed link says so, or review the commit."
    ),
    "content-ambiguous": Kind(
        10, "warning", "Read the candidates, and have the commit recorded or reviewed."
    ),
    "policy-rewrite": Kind(
        13, "error", "Verify where the old commits are, or have the commit recorded or reviewed."
    ),
    "provenance-missing": Kind(10, "error", _FETCH),
    "record-missing": Kind(10, "error", _FETCH),
    "commit-rewritten": Kind(
        10, "warning", "The record is of the commit before the rewrite; compare the two."
    ),
    "trailer-malformed": Kind(10, "warning", "Correct or remove the Agentprov-Session trailer."),
    "session-incomplete": Kind(
        10, "warning", "Run `agentprov drain` where the session ran, if it has ended."
    ),
    "session-gaps": Kind(10, "note", "See `agentprov show` for what was not seen, and why."),
    "imported-record": Kind(
        10,
        "note",
        "Nothing; it repeats what others declared or reported. Record new work yourself.",
    ),
    "import-not-counted": Kind(
        10, "note", "List the builder id for this key in trust.yaml if imports shall count."
    ),
    "import-set-aside": Kind(10, "note", "Nothing; the recorded session is what counts."),
    "channels-contradict": Kind(
        13, "warning", "Read the contradictions in the session's journal where it was recorded."
    ),
    "policy-coverage": Kind(13, "error", "Have it recorded, or reviewed and approved by a person."),
    "policy-plan": Kind(13, "error", "Sign a plan before work starts: `agentprov plan sign`."),
    "policy-time": Kind(
        19, "error", "Have it signed again with a timestamp: `--tsa URL` (docs/howto/time.md)."
    ),
    "policy-approvals": Kind(13, "error", "Have it approved: `agentprov approve`."),
    "policy-record": Kind(
        13, "error", "Have it recorded, or let the policy accept what people vouch for."
    ),
    "policy-plan-signer": Kind(13, "error", "Have the plan signed by somebody who holds the role."),
    "policy-plan-age": Kind(13, "error", "Sign the plan again before the next session."),
    "policy-plan-limits": Kind(13, "error", "Sign a plan that allows this, or take the work back."),
    "policy-plan-paths": Kind(
        13, "error", "Leave these paths alone, or sign a plan that allows them before work starts."
    ),
    "policy-agent": Kind(13, "error", "Have it made by an allowed agent, or allow this one."),
    "policy-model": Kind(13, "error", "Have it made by an allowed model, or allow this one."),
    "policy-endpoint": Kind(
        13, "error", "Record behind the gateway, and ask models at an allowed host."
    ),
    "policy-mcp-server": Kind(
        13, "error", "Take the server out of the configuration, or allow it as it is."
    ),
    "policy-basis": Kind(
        13, "error", "Record in a stronger mode: behind the gateway, or isolated from the agent."
    ),
    "policy-origin": Kind(13, "error", "Read these lines; have a person commit what is right."),
    "policy-session": Kind(
        13, "error", "Drain the session where it ran, or have the work done again in view."
    ),
    "approval-before-work": Kind(15, "error", "Have the change reviewed as it is now."),
    "approval-elsewhere": Kind(15, "error", "Have the change reviewed in this repository."),
    "approval-expired": Kind(18, "error", "Have the change reviewed again."),
    "approval-void": Kind(
        12, "note", "Have the change reviewed as it is now: `agentprov approve`."
    ),
    "approval-rejected": Kind(13, "warning", "Talk to the reviewer; a later decision replaces it."),
    "approval-partial": Kind(
        13, "warning", "Have the rest reviewed; only a whole review approves the change."
    ),
    "approval-by-author": Kind(13, "note", "Have somebody else review the change."),
    "approval-without-record": Kind(
        13, "warning", "Have the change reviewed again with these records at hand."
    ),
    "agent-origin-lines": Kind(
        13, "warning", "Read these lines, and find out what in the agent wrote them."
    ),
    "timestamp-invalid": Kind(19, "error", _ASK),
    "timestamp-differs": Kind(19, "error", _ASK),
    "timestamp-outside-validity": Kind(
        19, "error", "Have it stamped by an authority whose certificate is valid."
    ),
    "timestamp-authority-invalid": Kind(
        16, "error", "Correct the chain under /timestampAuthorities in trust.yaml: leaf first."
    ),
    "time-contradicted": Kind(
        19, "error", "Find out which clock was wrong; have it signed again with the right time."
    ),
    "signer-expired": Kind(
        18, "error", "Have it signed with a current key, or stamped while the key is valid."
    ),
    "signer-not-yet-valid": Kind(
        18, "error", "Find out who used the key before it counted; have it signed again."
    ),
    "signer-compromised": Kind(
        18, "error", "Have it read again, and signed by somebody whose key is good."
    ),
    "log-rollback": Kind(19, "error", _LOG),
    "log-gone": Kind(
        19, "warning", "Nothing, if this clone was made anew; else find out what removed it all."
    ),
    "log-split-view": Kind(19, "error", _LOG),
    "log-damaged": Kind(19, "error", _LOG),
    "log-inclusion-missing": Kind(
        19, "warning", "See the session's gaps; without one there, find out who removed the entry."
    ),
    "notes-rollback": Kind(19, "warning", _REMOTE),
    "notes-missing": Kind(19, "warning", _REMOTE),
    "stale-checkpoint": Kind(
        19,
        "warning",
        "Ask whoever made these commits to run `agentprov sync`; else ask the server.",
    ),
    "plan-expired-since": Kind(18, "note", "Nothing; the plan was valid when the session began."),
    "hidden-plan-content": Kind(13, "warning", "Read the plan with `agentprov plan show`."),
}
