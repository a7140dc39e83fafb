"""What a record's bytes say, read strictly and once for all who ask; nothing here is verified."""

from __future__ import annotations

from agentprov.errors import MalformedInput
from agentprov.formats import bundle as bundles
from agentprov.formats import statement as statements
from agentprov.formats.bundle import Bundle
from agentprov.formats.predicates import approval, generation, plan, rewrite, session
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.statement import Statement

View = PlanView | OpenView | CloseView | GenerationView | ApprovalView | RewriteView


class Reading:
    """A bundle's bytes with what the strict readers make of them, each step taken when asked.

    The signature check reads through it, and so may whoever only has to choose among records.
    Checks no signature.
    """

    __slots__ = ("_bundle", "_statement", "_view", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._bundle: Bundle | MalformedInput | None = None
        self._statement: Statement | MalformedInput | None = None
        self._view: View | None = None

    def bundle(self) -> Bundle:
        """Give the bundle; raises MalformedInput, every time."""
        if self._bundle is None:
            try:
                self._bundle = bundles.parse(self.data)
            except MalformedInput as error:
                self._bundle = error
        if isinstance(self._bundle, MalformedInput):
            raise self._bundle
        return self._bundle

    def statement(self) -> Statement:
        """Give the statement in the bundle; raises MalformedInput for either, every time."""
        if self._statement is None:
            try:
                self._statement = statements.parse(self.bundle().payload)
            except MalformedInput as error:
                self._statement = error
        if isinstance(self._statement, MalformedInput):
            raise self._statement
        return self._statement

    def view(self) -> View | None:
        """Give the members that the judge needs; None for a type that this version does not know.

        Raises MalformedInput as `statement` does.
        """
        if self._view is None:
            self._view = _view(self.statement())
        return self._view


def _view(statement: Statement) -> View | None:
    subjects = [(subject.name, subject.digest) for subject in statement.subjects]
    if statement.kind == "plan":
        return plan.view(subjects, statement.predicate)
    if statement.kind == "session-open":
        return session.view_open(statement.predicate)
    if statement.kind == "session-close":
        return session.view_close(statement.predicate)
    if statement.kind == "generation":
        return generation.view(subjects, statement.predicate)
    if statement.kind == "approval":
        return approval.view(subjects, statement.predicate)
    if statement.kind == "rewrite":
        return rewrite.view(statement.predicate)
    return None
