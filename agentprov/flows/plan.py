"""The human's intent: look at a plan, sign it, find it again, and check it before work starts.

A plan is read once; the bytes that were read are the bytes that are searched for hidden text,
shown, signed and kept (THREATS 10). Signing is for people: it is refused inside a run.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentprov import attest
from agentprov.errors import CannotStart, MalformedInput, UserError
from agentprov.flows import log_append, stamping
from agentprov.flows.human_key import human_signer
from agentprov.flows.known_names import known_names
from agentprov.flows.plan_records import PlanRecord, find, records_of, signed_plans
from agentprov.flows.repository import identity
from agentprov.flows.world import World, seal
from agentprov.formats import bundle as bundles
from agentprov.formats import digest, names, schema
from agentprov.formats.facts import PlanRef
from agentprov.formats.hidden import Finding, Syntax
from agentprov.formats.presentation import MAX_PLAN_BYTES, Presentation, present, shown_sha256
from agentprov.formats.statement import Statement
from agentprov.sign.key_use import Ask, Say
from agentprov.store.plans import PlanShelf
from agentprov.system import files
from agentprov.system.git import Git
from agentprov.verify.rules import matcher

ShownOn = Literal["terminal", "pager", "none"]
Show = Callable[[Presentation], ShownOn]


class HiddenContent(UserError):
    """The plan holds text that a reader would not see and that nobody accepted by name."""

    def __init__(self, message: str, findings: Sequence[Finding], *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Source:
    """A plan file as it was read, once: its name in the repository, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Scope:
    """How far a plan shall reach.

    `not_after` is an RFC 3339 time in UTC. `repository` is a URI; None binds the plan to this
    repository where its origin has a public address, and `anywhere` leaves it unbound. `agents`,
    `models` and `mcp_servers` are patterns of what may be at work; no server at all is an empty
    tuple.
    """

    allowed_paths: tuple[str, ...] = ()
    not_after: str | None = None
    repository: str | None = None
    target_ref: str | None = None
    anywhere: bool = False
    agents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SignedPlan:
    """A plan that was just signed: what to refer to it by, what was shown, and the record.

    `not_logged` says why the signing log does not have it, `not_stamped` why it carries no
    timestamp though one was configured; empty where there is nothing to say.
    """

    ref: PlanRef
    blob: str
    signer: str
    statement: Statement
    bundle: bytes
    presentation: Presentation
    not_logged: str = ""
    not_stamped: str = ""


@dataclass(frozen=True)
class CheckedPlan:
    """A signed plan that a session may start with: its bytes, its record, and how to name it."""

    ref: PlanRef
    content: bytes
    bundle: bytes


@dataclass(frozen=True)
class ShownPlan:
    """A plan found again: its record, its bytes if they are here, and what its signer was shown.

    `same_presentation` says whether the digest in the record is the one that this version makes
    of the bytes; None where the bytes are not here or another renderer was used.
    """

    record: PlanRecord
    content: bytes | None
    presentation: Presentation | None
    same_presentation: bool | None


def lint(path: Path, *, syntax: Syntax = "markdown", known: Collection[str] = ()) -> Presentation:
    """Look for hidden text in a plan, an instruction file or code; needs no repository.

    `known` are names with which look-alikes are compared. Raises UserError for what is no text.
    """
    return _present(path, _read(path), syntax, known)


def read(git: Git, path: Path) -> Source:
    """Read a plan that stands in the work tree; its name is its path from the top.

    Follows symbolic links that stay inside the work tree, and names the file they lead to.
    Raises UserError: outside, under ``.git``, missing, no regular file, empty, too large.
    """
    top = os.path.realpath(git.top)
    real = os.path.realpath(path)
    inside = os.path.relpath(real, top)
    if inside.startswith(os.pardir) or os.path.isabs(inside):
        raise UserError(
            f"{path}: a plan must stand in the repository, and this leads out of it",
            hint="copy it into the work tree; it need not be committed",
        )
    if any(part.lower() == ".git" for part in Path(inside).parts):
        raise UserError(f"{path}: a plan cannot stand inside .git")
    return Source(names.path_label(os.fsencode(inside)), _read(Path(real), said=path))


def sign(
    world: World,
    path: Path,
    *,
    accept: Sequence[str] = (),
    intent: str | None = None,
    scope: Scope | None = None,
    key: str | None = None,
    show: Show | None = None,
    ask: Ask | None = None,
    say: Say | None = None,
    tsa: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> SignedPlan:
    """Show a plan, sign it with the human's key, and keep its bytes and its record.

    `show` puts the presentation before the signer's eyes and says where; without it the
    statement says that it was shown nowhere. `accept` are ids of findings that the signer lets
    pass; they are signed too. `intent` is published. `key` is a key URI, by default the human
    key; `ask` and `say` reach the person where that key needs them. `tsa` is the timestamp
    authority that must stamp the signature, or ``none`` (flows.stamping). Raises HiddenContent,
    UserError (inside a run, unreadable, no author, not stamped), KeyUnusable.
    """
    _refuse_inside_a_run(os.environ if environment is None else environment)
    source = read(world.git, path)
    presentation = _present(path, source.content, known=known_names(world.git, world.home))
    shown_on = show(presentation) if show is not None else "none"
    _require_accepted(path, presentation, accept)
    signer = human_signer(world.home, key, f"to sign the plan {source.name}", ask=ask, say=say)
    limits = _limits(world.git, scope or Scope())
    author = _author(world.git)
    shelf = PlanShelf(world.git)
    blob = shelf.keep_plan(source.content)
    try:
        statement = attest.plan_statement(
            name=source.name,
            digests={"sha256": digest.sha256(source.content), "gitBlob": blob},
            author=author,
            declared_at=world.now(),
            presentation=attest.Presentation(
                renderer=presentation.renderer,
                rendered_sha256=presentation.sha256,
                shown_on=shown_on,
                hidden_segments=len(presentation.refusals),
                accepted=tuple(dict.fromkeys(accept)),
            ),
            limits=limits,
            intent=intent,
        )
    except MalformedInput as error:
        raise UserError(f"the plan cannot be stated like this: {error.message}") from error
    stamp = stamping.chosen(world.git, tsa, signer)
    line = seal(statement, signer, stamp)
    world.store.add({blob: [line]})
    ref = PlanRef(
        name=source.name,
        sha256=digest.sha256(source.content),
        statement_sha256=statement.sha256,
        signature_sha256=bundles.parse(line).signature_sha256,
        not_after=limits.not_after,
    )
    not_logged = log_append.append(world, [line])
    return SignedPlan(
        ref, blob, signer.uri, statement, line, presentation, not_logged, stamp.why_not
    )


def check(world: World, path: Path) -> CheckedPlan:
    """Read a plan once and make sure that these bytes were signed and the signature still serves.

    Counts signatures by human keys that this user works with (flows.trust.working_trust).
    Raises CannotStart: unreadable, never signed, changed since, signed by a stranger, for
    another repository, expired.
    """
    try:
        source = read(world.git, path)
    except UserError as error:
        raise CannotStart(error.message, hint=error.hint) from error
    sign_it = f"agentprov plan sign {shlex.quote(str(path))}"
    found = records_of(world, source.content)
    if not found:
        earlier = [record for record in signed_plans(world) if record.name == source.name]
        if earlier:
            raise CannotStart(
                f"{path} was changed after it was signed at {earlier[0].declared_at}",
                hint=f"read it, then sign it again: {sign_it}",
            )
        raise CannotStart(f"{path} was never signed", hint=f"read it, then sign it: {sign_it}")
    # A newer signature replaces an older one; a stranger's replaces nothing.
    record = next((record for record in found if not record.problem), found[0])
    why = why_not_now(world, record)
    if why:
        raise CannotStart(f"{path}: {why}", hint=f"read it, then sign it again: {sign_it}")
    ref = PlanRef(
        name=source.name,
        sha256=record.sha256,
        statement_sha256=record.statement_sha256,
        signature_sha256=record.signature_sha256,
        not_after=record.not_after,
    )
    return CheckedPlan(ref, source.content, record.bundle)


def why_not_now(world: World, record: PlanRecord) -> str:
    """Say why a session may not start with this plan now; empty when it may."""
    if record.problem:
        return record.problem
    if schema.instant(record.declared_at) > world.clock.now():
        return f"it says that it was signed at {record.declared_at}, which is still to come"
    if record.not_after is not None and schema.instant(record.not_after) < world.clock.now():
        return f"the signature expired at {record.not_after}"
    if record.repository is not None and record.repository != identity(world.git).uri:
        return f"it was signed for another repository, {record.repository}"
    return ""


def list_plans(world: World) -> list[PlanRecord]:
    """Give every plan record that is here, newest first, trusted or not."""
    return signed_plans(world)


def show(world: World, name: str) -> ShownPlan:
    """Find a plan by name or by the first digits of its digest, newest first; with its bytes.

    Raises UserError when there is none.
    """
    record = find(signed_plans(world), name)
    content = PlanShelf(world.git).plan_bytes(record.sha256)
    if content is None:
        with world.git.cat_file() as reader:
            found = reader.get(record.blob)
        content = found[1] if found and digest.sha256(found[1]) == record.sha256 else None
    if content is None:
        return ShownPlan(record, None, None, None)
    try:
        presentation = present(content)
    except MalformedInput:
        return ShownPlan(record, content, None, None)
    again = shown_sha256(record.renderer, content)
    same = None if again is None else again == record.rendered_sha256
    return ShownPlan(record, content, presentation, same)


def _refuse_inside_a_run(environment: Mapping[str, str]) -> None:
    if environment.get("AGENTPROV_SESSION"):
        raise UserError(
            "a plan is signed by a person, before work starts; this is inside a recorded run",
            hint="sign it in a terminal of your own, then start the run with --plan",
        )


def _read(path: Path, said: Path | None = None) -> bytes:
    said = said or path
    try:
        content = files.read_bounded(path, MAX_PLAN_BYTES)
    except OSError as error:
        raise UserError(f"{said}: cannot be read as a plan: {error.strerror}") from error
    if not content.strip():
        raise UserError(f"{said}: an empty plan says nothing")
    return content


def _present(
    path: Path, content: bytes, syntax: Syntax = "markdown", known: Collection[str] = ()
) -> Presentation:
    try:
        return present(content, syntax=syntax, known=known)
    except MalformedInput as error:
        raise UserError(
            f"{path}: {error.message}", hint="a plan is text in UTF-8; convert it first"
        ) from error


def _require_accepted(path: Path, presentation: Presentation, accept: Sequence[str]) -> None:
    known = {finding.id for finding in presentation.findings}
    strangers = [item for item in accept if item not in known]
    if strangers:
        raise UserError(
            f"{path}: no finding {strangers[0]!r}",
            hint=f"see what is found: agentprov plan lint {shlex.quote(str(path))}",
        )
    open_ = [finding for finding in presentation.refusals if finding.id not in accept]
    if not open_:
        return
    ids = dict.fromkeys([*accept, *(finding.id for finding in open_)])
    command = " ".join(
        ["agentprov plan sign", shlex.quote(str(path)), *(f"--accept-finding {i}" for i in ids)]
    )
    first = open_[0]
    others = f", and {len(open_) - 1} more" if len(open_) > 1 else ""
    raise HiddenContent(
        f"{path}, {first.where}: {first.message}{others}",
        open_,
        hint=f"take it out, or, if it shall stand: {command}",
    )


def _author(git: Git) -> str:
    email = git.text("config", "--get", "user.email", check=False).strip()
    if not email:
        raise UserError(
            "git does not know who you are, so the plan would have no author",
            hint="git config user.email you@example.com",
        )
    return f"mailto:{email}"


def _limits(git: Git, scope: Scope) -> attest.Limits:
    for what, texts, example in (
        ("paths", scope.allowed_paths, "from the top of the repository: 'src/**', '**/*.md'"),
        ("agents", scope.agents, "as a package URL: 'pkg:npm/%40anthropic-ai/claude-code'"),
        ("models", scope.models, "as provider/id or id: 'anthropic/claude-*'"),
        ("MCP servers", scope.mcp_servers or (), "as it is configured: 'github'"),
    ):
        for text in texts:
            complaint = matcher.why_not(text)
            if complaint is not None:
                raise UserError(
                    f"{text!r} is no pattern for {what}: {complaint}", hint=f"write it {example}"
                )
    repository = scope.repository
    if repository is None and not scope.anywhere:
        here = identity(git).uri
        # Only an origin is the same in every clone and on every day.
        repository = here if here.startswith("git+") else None
    return attest.Limits(
        repository=repository,
        target_ref=scope.target_ref,
        allowed_paths=scope.allowed_paths,
        not_after=scope.not_after,
        constraints={
            key: list(value)
            for key, value in (
                ("agents", scope.agents or None),
                ("models", scope.models or None),
                ("mcpServers", scope.mcp_servers),
            )
            if value is not None
        },
    )


__all__ = [
    "CheckedPlan",
    "HiddenContent",
    "PlanRecord",
    "Scope",
    "ShownPlan",
    "SignedPlan",
    "check",
    "lint",
    "list_plans",
    "read",
    "show",
    "sign",
    "why_not_now",
]
