"""Whether a signer may say what it signed: roles, builder ids, and how a claim may be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from agentprov.formats.digest import is_weak
from agentprov.formats.names import BUILDER_PREFIX
from agentprov.formats.predicates import generation, rewrite, session
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.statement import Statement
from agentprov.formats.vocabulary import BASES, Basis
from agentprov.verify import times
from agentprov.verify.finding import Problem
from agentprov.verify.record import Entry, View
from agentprov.verify.trust import HUMAN_ROLES, TrustedSigner

CAPS: Mapping[str, Basis] = {
    "transcript-import": "reported",
    "mcp-declared": "reported",
    "hooks-only": "reported",
    "local-wrapper": "intercepted",
    "ci-runner": "intercepted",
    "isolated": "isolated",
}
"""The best basis that each mode of the recorder can have (docs/spec/verification.md)."""

_ROLES: Mapping[str, tuple[str, ...]] = {
    "plan": ("human",),
    "session-open": ("recorder", "ci"),
    "session-close": ("recorder", "ci"),
    "generation": ("recorder", "ci"),
    "approval": ("reviewer",),
    "rewrite": ("recorder", "ci"),
}


def cap(builder: str) -> Basis:
    """Give the best basis that a builder id may claim; ids we do not know get `reported`."""
    name = builder.removeprefix(BUILDER_PREFIX).partition("/")[0]
    return CAPS.get(name, "reported") if builder.startswith(BUILDER_PREFIX) else "reported"


def is_import(builder: str) -> bool:
    """Say whether a builder id is that of an import: what others said, signed by who read it."""
    return builder.startswith(f"{BUILDER_PREFIX}transcript-import/")


def judge(entry: Entry, as_of: datetime) -> None:
    """Add what is wrong with who says this, and with how they say they know it.

    Where several trusted keys signed, those that may say this speak, and the signatures of the
    others are dropped: they neither spoil the good ones nor stand in for them. `as_of` is the
    time of judging.
    """
    if entry.statement is None:
        return
    statement = entry.statement.value
    if statement.kind is None:
        entry.blame("predicate-unknown", f"no rule here for {statement.predicate_type}")
        return
    complaints = {
        digest: [
            *_why_not(entry, statement.kind, signed.signer),
            *times.why_not(signed.signer, times.first(signed), as_of),
        ]
        for digest, signed in entry.signatures.items()
    }
    authorised = {
        digest: entry.signatures[digest] for digest, found in complaints.items() if not found
    }
    if authorised:
        entry.signatures = authorised
        entry.statement = next(iter(authorised.values()))
    else:
        for problem in complaints[entry.statement.signature_sha256]:
            entry.blame(problem.code, problem.message)
    for name in _weak(statement, entry.view):
        entry.blame("weak-digest", f"nothing but a weak digest binds {name!r}")
    if isinstance(entry.view, OpenView | CloseView | GenerationView | RewriteView):
        _judge_bases(entry, statement, entry.view.builder)


def _why_not(entry: Entry, kind: str, key: TrustedSigner) -> Iterator[Problem]:
    """Say why this key may not sign this statement."""
    roles = _ROLES[kind]
    if not any(key.may(role) for role in roles):
        yield Problem("signer-role", _why_no_role(key, kind, roles))
    view = entry.view
    if (
        isinstance(view, OpenView | CloseView | GenerationView | RewriteView)
        and view.builder not in key.builders
    ):
        if is_import(view.builder):
            # Most trust documents never mean to count imports; that one is here is no alarm.
            yield Problem(
                "import-not-counted", f"the key of {key.person} is not trusted for {view.builder}"
            )
            return
        yield Problem("signer-builder", f"the key of {key.person} may not speak for {view.builder}")


def _judge_bases(entry: Entry, statement: Statement, builder: str) -> None:
    best = cap(builder)
    allowed = BASES[: BASES.index(best) + 1]
    for pointer, basis in _bases(statement):
        if basis not in allowed:
            entry.blame(
                "basis-above-cap", f"{pointer} claims {basis}; {builder} can know {best} at best"
            )


def _why_no_role(key: TrustedSigner, kind: str, roles: tuple[str, ...]) -> str:
    if HUMAN_ROLES.intersection(roles) & key.roles:
        return f"the key of {key.person} is also a machine's, so it cannot sign a {kind}"
    held = ", ".join(sorted(key.roles))
    return f"the key of {key.person} is {held}; a {kind} needs {' or '.join(roles)}"


def _weak(statement: Statement, view: View | None) -> Iterator[str]:
    files = statement.kind == "generation"
    for index, subject in enumerate(statement.subjects):
        if is_weak(subject.digest) or (files and index and "sha256" not in subject.digest):
            yield subject.name
    if isinstance(view, GenerationView):
        named = {subject.name for subject in statement.subjects}
        for change in view.changes:
            if change.leaves_content and change.path not in named:
                yield change.path


def _bases(statement: Statement) -> Iterator[tuple[str, str]]:
    if statement.kind == "generation":
        return generation.bases(statement.predicate)
    if statement.kind == "rewrite":
        return rewrite.bases(statement.predicate)
    return session.bases(statement.predicate)
