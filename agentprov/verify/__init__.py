"""The judge: bytes and facts in, findings out; it has no hands."""

from __future__ import annotations

from agentprov.verify.finding import Finding, Verdict
from agentprov.verify.judge import Case, Judgement, judge
from agentprov.verify.local_log import LogFacts
from agentprov.verify.output import verdict_json
from agentprov.verify.record import Record
from agentprov.verify.signatures import Verified
from agentprov.verify.subjects import CommitFacts, PathDiff, session_trailers
from agentprov.verify.trust import TrustedKey, TrustRoot

__all__ = [
    "Case",
    "CommitFacts",
    "Finding",
    "Judgement",
    "LogFacts",
    "PathDiff",
    "Record",
    "TrustRoot",
    "TrustedKey",
    "Verdict",
    "Verified",
    "judge",
    "session_trailers",
    "verdict_json",
]
