"""The cases of tests/vectors: each one defect, under signatures that are otherwise valid."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprov import attest
from agentprov.attest import Limits
from agentprov.formats import bundle as bundles
from agentprov.formats import canonical, names
from agentprov.formats.bundle import key_hint
from agentprov.formats.evidence import Evidence, TimestampAuthority
from agentprov.formats.facts import Material
from agentprov.formats.names import LOCAL_WRAPPER
from agentprov.formats.statement import Statement
from agentprov.verify.subjects import CommitFacts
from agentprov.verify.trust import Compromised, TrustRoot
from support.story import (
    FILES,
    HUMAN,
    RECORDER,
    SESSION,
    STRANGER,
    File,
    Key,
    Story,
    Told,
    made_up,
    seal,
    trust_of,
)

if TYPE_CHECKING:
    from support.approval_defects import Reviewed
    from support.rewrite_defects import Past

CASES: dict[str, Callable[[], Vector]] = {}


@dataclass
class Vector:
    """One question to a verifier, and the answer it must give."""

    about: str
    told: Told
    lines: dict[str, bytes]
    commits: list[CommitFacts]
    errors: tuple[str, ...] = ()
    exit_code: int = 0
    coverage: str = "covered"
    trust: TrustRoot = field(default_factory=trust_of)
    named: bytes | None = None
    required: bool = True
    warnings: tuple[str, ...] = ()
    reviewed: Reviewed | None = None
    past: Past | None = None
    # Files as their bytes, instead of what would be written; the name of the one to be refused.
    documents: Mapping[str, bytes] = field(default_factory=dict)
    refused: str | None = None


def case(function: Callable[[], Vector]) -> Callable[[], Vector]:
    """Enter a vector under its function's name."""
    CASES[function.__name__.removeprefix("_").replace("_", "-")] = function
    return function


def story(**facts: Any) -> tuple[Told, dict[str, bytes], CommitFacts]:
    """Tell a story; its bundles and its commit."""
    told = Story(**facts).tell()
    return told, told.lines(), told.commit()


def edited(statement: Statement, edit: Callable[[dict[str, Any]], object], key: Key) -> bytes:
    """Change a statement's JSON and sign the result: a defect under a valid signature."""
    value = json.loads(statement.payload)
    edit(value)
    return seal(canonical.encode(value), key)


def opened(line: bytes) -> dict[str, Any]:
    """Give a bundle's JSON, to be broken."""
    return dict(json.loads(line))


def flipped(text: str) -> str:
    """Change one bit of base64 data and keep it base64."""
    raw = bytearray(base64.b64decode(text))
    raw[len(raw) // 2] ^= 1
    return base64.b64encode(raw).decode()


def failing(
    about: str,
    told: Told,
    lines: dict[str, bytes],
    commits: CommitFacts | list[CommitFacts],
    exit_code: int,
    *errors: str,
    **more: Any,
) -> Vector:
    """Make a vector that must be refused; the commit is uncovered unless said otherwise."""
    commits = commits if isinstance(commits, list) else [commits]
    return Vector(
        about, told, lines, commits, errors, exit_code, more.pop("coverage", "uncovered"), **more
    )


@case
def valid_whole_story() -> Vector:
    told, lines, commit = story()
    return Vector("A plan, a session, one commit, all closed.", told, lines, [commit])


@case
def valid_without_plan() -> Vector:
    told, lines, commit = story(planned=False)
    return Vector("A session that was given no plan.", told, lines, [commit])


@case
def valid_with_junk_beside() -> Vector:
    told, lines, commit = story()
    lines["junk"] = seal(told.generation, STRANGER)
    lines["noise"] = b'{"mediaType":"text/plain"}'
    return Vector(
        "A stranger's copy and a line that is no bundle hang beside a good record.",
        told,
        lines,
        [commit],
        warnings=("bundle-malformed", "signer-unknown"),
    )


@case
def valid_while_session_runs() -> Vector:
    told, lines, commit = story()
    del lines["close"]
    return Vector(
        "The session has not closed yet; its commit verifies, with a warning.",
        told,
        lines,
        [commit],
        warnings=("session-incomplete",),
    )


@case
def valid_late_commit() -> Vector:
    told, lines, commit = story()
    late = replace(
        told.story.facts(), oid=made_up("late", 40), tree=made_up("late tree", 40), sequence=2
    )
    late = replace(late, during=False)
    statement = attest.generation(told.session, told.open.sha256, late, told.story.report)[0]
    lines["late"] = seal(statement, RECORDER)
    second = replace(commit, oid=late.oid, tree=late.tree, trailers=())
    return Vector(
        "A person commits the session's files after it closed.", told, lines, [commit, second]
    )


@case
def valid_odd_paths() -> Vector:
    files = (
        File(b"new\nline.txt", b"x\n"),
        File(b'quote".txt', b"y\n"),
        File(b"latin-\xe9.txt", b"z\n"),
        File("nfd-e\u0301.txt".encode(), b"1\n"),
        File("nfc-\u00e9.txt".encode(), b"2\n"),
        File(b"commit", b"3\n"),
    )
    told, lines, commit = story(files=files)
    return Vector("Paths with a newline, quotes, no UTF-8, both forms of é.", told, lines, [commit])


@case
def payload_bit_flipped() -> Vector:
    told, lines, commit = story()
    value = opened(lines["generation"])
    value["dsseEnvelope"]["payload"] = flipped(value["dsseEnvelope"]["payload"])
    lines["generation"] = canonical.encode(value)
    return failing(
        "One bit of the generation's payload is another.",
        told, lines, commit, 11, "signature-invalid", "generation-missing", "provenance-missing",
        "record-missing",
    )  # fmt: skip


@case
def signature_bit_flipped() -> Vector:
    told, lines, commit = story()
    value = opened(lines["generation"])
    signature = value["dsseEnvelope"]["signatures"][0]
    signature["sig"] = flipped(signature["sig"])
    lines["generation"] = canonical.encode(value)
    return failing(
        "One bit of the generation's signature is another.",
        told, lines, commit, 11, "signature-invalid", "generation-missing", "provenance-missing",
        "record-missing",
    )  # fmt: skip


@case
def payload_type_changed() -> Vector:
    told, lines, commit = story()
    value = opened(lines["generation"])
    value["dsseEnvelope"]["payloadType"] = "application/vnd.in-toto+jsom"
    lines["generation"] = canonical.encode(value)
    return failing(
        "The payload type was changed after signing.",
        told, lines, commit, 11, "payload-type", "signature-invalid", "generation-missing",
        "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def payload_type_foreign() -> Vector:
    told, lines, commit = story()
    lines["generation"] = seal(told.generation, RECORDER, payload_type="text/plain")
    return failing(
        "A good signature over a payload of another type.",
        told, lines, commit, 14, "payload-type", "generation-missing", "provenance-missing",
        "record-missing",
    )  # fmt: skip


@case
def hint_of_a_stranger() -> Vector:
    told, lines, commit = story()
    lines["generation"] = seal(told.generation, RECORDER, hint=key_hint(STRANGER.spki))
    return failing(
        "The hint names a key that nobody trusts; hints select, they never add.",
        told, lines, commit, 17, "signer-unknown", "generation-missing", "provenance-missing",
        "record-missing",
    )  # fmt: skip


@case
def hint_of_another_trusted_key() -> Vector:
    told, lines, commit = story()
    lines["generation"] = seal(told.generation, RECORDER, hint=key_hint(HUMAN.spki))
    return failing(
        "The hint names the human's key, the recorder signed.",
        told, lines, commit, 11, "signature-invalid", "generation-missing", "provenance-missing",
        "record-missing",
    )  # fmt: skip


@case
def signer_untrusted() -> Vector:
    told, lines, commit = story()
    stranger = trust_of(HUMAN, STRANGER)
    return failing(
        "The recorder's key is not in the trust document.",
        told, lines, commit, 17, "signer-unknown", "provenance-missing",
        "record-missing", trust=stranger,
    )  # fmt: skip


@case
def plan_signed_by_the_recorder() -> Vector:
    told, lines, commit = story(human=RECORDER)
    return failing(
        "An agent that reaches the recorder's key signs itself a plan.",
        told, lines, commit, 17, "signer-role", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def plan_signed_by_a_key_with_two_roles() -> Vector:
    both = replace(
        HUMAN, roles=frozenset({"human", "recorder"}), builders=frozenset({LOCAL_WRAPPER})
    )
    told, lines, commit = story(human=both)
    return failing(
        "The trust document gives one key a person's and a recorder's role: it signs no plans.",
        told, lines, commit, 17, "signer-role", "provenance-missing", "record-missing",
        trust=trust_of(both, RECORDER),
    )  # fmt: skip


@case
def builder_not_allowed() -> Vector:
    told, lines, commit = story()
    other = replace(RECORDER, builders=frozenset({names.BUILDER_PREFIX + "ci-runner/v0.1"}))
    return failing(
        "The recorder's key is trusted for another builder id only.",
        told, lines, commit, 17, "signer-builder", "provenance-missing", "record-missing",
        trust=trust_of(HUMAN, other),
    )  # fmt: skip


@case
def basis_above_the_cap() -> Vector:
    material = Material("instruction", "CLAUDE.md", made_up("instructions"), "isolated")
    told, lines, commit = story(session=replace(SESSION, materials=(material,)))
    return failing(
        "A local wrapper claims to have seen something from a place the agent cannot reach.",
        told, lines, commit, 14, "basis-above-cap", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def external_parameter_unknown() -> Vector:
    told, lines, commit = story()

    def edit(value: dict[str, Any]) -> None:
        value["predicate"]["buildDefinition"]["externalParameters"]["surprise"] = "yes"

    lines["generation"] = edited(told.generation, edit, RECORDER)
    return failing(
        "externalParameters holds a member that is not specified.",
        told, lines, commit, 14, "statement-malformed", "generation-missing",
        "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def weak_digest() -> Vector:
    told, lines, commit = story()

    def edit(value: dict[str, Any]) -> None:
        value["subject"][1]["digest"] = {"sha1": made_up("weak", 40)}

    lines["generation"] = edited(told.generation, edit, RECORDER)
    del lines["close"]
    return failing(
        "A file is bound by SHA-1 alone.",
        told, lines, commit, 14, "weak-digest", "provenance-missing", "record-missing",
        warnings=("session-incomplete",),
    )  # fmt: skip


@case
def duplicate_key_in_the_payload() -> Vector:
    told, lines, commit = story()
    payload = told.generation.payload.replace(b'"_type":', b'"_type":"x","_type":', 1)
    lines["generation"] = seal(payload, RECORDER)
    return failing(
        "The signed JSON has a key twice; parsers would disagree on it.",
        told, lines, commit, 14, "statement-malformed", "generation-missing",
        "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def byte_order_mark_in_the_payload() -> Vector:
    told, lines, commit = story()
    lines["generation"] = seal(b"\xef\xbb\xbf" + told.generation.payload, RECORDER)
    return failing(
        "The signed JSON begins with a byte order mark.",
        told, lines, commit, 14, "statement-malformed", "generation-missing",
        "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def hostile_path_in_a_subject() -> Vector:
    told, lines, commit = story()

    def edit(value: dict[str, Any]) -> None:
        value["subject"][1]["name"] = "../../etc/passwd"
        metadata = value["predicate"]["runDetails"]["metadata"]
        metadata["agentprov_changes"][0]["path"] = "../../etc/passwd"

    lines["generation"] = edited(told.generation, edit, RECORDER)
    return failing(
        "A path leads out of the tree.",
        told, lines, commit, 14, "statement-malformed", "generation-missing",
        "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def base64_with_stray_bits() -> Vector:
    told, lines, commit = story()
    value = opened(lines["plan"])
    signature = value["dsseEnvelope"]["signatures"][0]
    padded = base64.b64encode(base64.b64decode(signature["sig"]) + b"\0")
    if not padded.endswith(b"="):
        padded = base64.b64encode(base64.b64decode(signature["sig"]) + b"\0\0")
    text = padded.decode().rstrip("=")
    signature["sig"] = text[:-1] + chr(ord(text[-1]) + 1) + "=" * (len(padded) - len(text))
    return failing(
        "Base64 whose unused bits are set: a second spelling of the same bytes.",
        told, lines, commit, 14, "bundle-malformed", named=canonical.encode(value),
        coverage="covered",
    )  # fmt: skip


@case
def member_unknown_in_the_bundle() -> Vector:
    told, lines, commit = story()
    value = opened(lines["generation"])
    value["note"] = "ours"
    return failing(
        "A bundle that was named holds a member that is not specified.",
        told, lines, commit, 14, "bundle-malformed", named=canonical.encode(value),
        coverage="covered",
    )  # fmt: skip


@case
def two_signatures() -> Vector:
    told, lines, commit = story()
    value = opened(lines["generation"])
    value["dsseEnvelope"]["signatures"] *= 2
    return failing(
        "A bundle that was named holds two signatures.",
        told, lines, commit, 14, "bundle-malformed", named=canonical.encode(value),
        coverage="covered",
    )  # fmt: skip


@case
def named_bundle_of_an_unknown_type() -> Vector:
    told, lines, commit = story()
    payload = canonical.encode(
        {
            "_type": names.STATEMENT_TYPE,
            "subject": [{"name": "x", "digest": {"sha256": made_up("x")}}],
            "predicateType": "https://example.com/other/v1",
            "predicate": {"a": 1},
        }
    )
    return failing(
        "A bundle that was named is good, and of a type that nobody here can judge.",
        told, lines, commit, 14, "predicate-unknown", named=seal(payload, RECORDER),
        coverage="covered",
    )  # fmt: skip


@case
def replayed_on_another_commit() -> Vector:
    told, lines, commit = story()
    other = replace(commit, oid=made_up("other", 40), tree=made_up("other tree", 40), trailers=())
    return failing(
        "The records of one commit hang on another one.",
        told, lines, other, 15, "record-of-another-commit", "provenance-missing",
    )  # fmt: skip


@case
def file_edited() -> Vector:
    told, lines, _ = story()
    edited_file = replace(FILES[0], after=b"print('hell0')\n")
    changed = Story(files=(edited_file, *FILES[1:])).tell().commit()
    return failing(
        "The commit of that id holds other bytes in a file than were signed.",
        told, lines, changed, 12, "content-differs", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def content_under_the_same_blob_id() -> Vector:
    told, lines, commit = story()
    lying = replace(commit, sha256_of=lambda _: made_up("collision"))
    return failing(
        "Blob ids are equal, the content is not: a collision of git's SHA-1.",
        told, lines, lying, 12, "content-differs", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def path_renamed() -> Vector:
    told, lines, _ = story()
    renamed = Story(files=(replace(FILES[0], path=b"src/hallo.py"), *FILES[1:])).tell().commit()
    return failing(
        "The commit of that id has the file at another path.",
        told, lines, renamed, 12, "change-differs", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def mode_changed() -> Vector:
    told, lines, _ = story()
    executable = Story(files=(replace(FILES[0], mode="100755"), *FILES[1:])).tell().commit()
    return failing(
        "The commit of that id has the file executable.",
        told, lines, executable, 12, "change-differs", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def deleted_file_still_there() -> Vector:
    told, lines, _ = story()
    kept = replace(FILES[2], after=b"still here\n", before=b"gone\n")
    files = Story(files=(*FILES[:2], kept, FILES[3])).tell().commit()
    return failing(
        "A file that was signed as deleted exists.",
        told, lines, files, 12, "change-differs", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def tree_differs() -> Vector:
    told, lines, commit = story()
    return failing(
        "The commit of that id has another tree than was signed.",
        told, lines, replace(commit, tree=made_up("elsewhere", 40)), 12, "commit-differs",
        "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def content_not_fetched() -> Vector:
    told, lines, commit = story()
    return failing(
        "A partial clone lacks the blobs.",
        told, lines, replace(commit, sha256_of=lambda _: None), 10, "content-missing",
        "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def plan_swapped() -> Vector:
    told, lines, commit = story()
    other = Story(plan={"intent": "something else"}).plan_statement()
    lines["plan"] = seal(other, HUMAN)
    return failing(
        "Another plan, signed by the same person, lies where the plan was.",
        told, lines, commit, 10, "plan-missing", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def plan_signed_again() -> Vector:
    told, lines, commit = story()
    colleague = replace(HUMAN, seed=44, person="mailto:grace@example.com")
    lines["plan"] = seal(told.plan, colleague)
    return failing(
        "The same plan bytes under a signature that did not exist when the session began.",
        told, lines, commit, 15, "plan-signature-differs", "provenance-missing",
        "record-missing", trust=trust_of(HUMAN, RECORDER, colleague),
    )  # fmt: skip


@case
def plan_after_the_session_began() -> Vector:
    told, lines, commit = story(plan={"declared_at": "2026-11-24T10:32:00Z"})
    return failing(
        "The plan says it was declared a minute after the session began.",
        told, lines, commit, 15, "plan-after-session", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def plan_expired() -> Vector:
    told, lines, commit = story(
        plan={
            "declared_at": "2026-11-20T10:00:00Z",
            "limits": Limits(not_after="2026-11-23T10:00:00Z"),
        }
    )
    return failing(
        "The plan had expired when the session began.",
        told, lines, commit, 18, "plan-expired", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def plan_for_other_paths() -> Vector:
    told, lines, commit = story(plan={"limits": Limits(allowed_paths=("docs/**",))})
    return failing(
        "The plan allows to change documents only; the record holds all the same.",
        told, lines, commit, 15, "plan-exceeded", coverage="covered",
    )  # fmt: skip


@case
def plan_for_another_model() -> Vector:
    told, lines, commit = story(
        plan={"limits": Limits(constraints={"models": ["anthropic/claude-opus-*"]})}
    )
    return failing(
        "The plan allows another model than the one that answered.",
        told, lines, commit, 15, "plan-exceeded", coverage="covered",
    )  # fmt: skip


@case
def plan_for_another_repository() -> Vector:
    told, lines, commit = story(
        plan={"limits": Limits(repository="git+https://git.example.com/acme/other")}
    )
    return failing(
        "The plan was signed for another repository.",
        told, lines, commit, 15, "plan-elsewhere", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def time_in_the_future() -> Vector:
    session = replace(SESSION, started="2099-01-01T00:00:00Z")
    told, lines, commit = story(session=session, ending={"finished": "2099-01-01T00:10:00Z"})
    return failing(
        "A session that begins in 2099.",
        told, lines, commit, 15, "time-in-future", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def open_deleted() -> Vector:
    told, lines, commit = story()
    del lines["open"]
    return failing(
        "The opening statement is gone.",
        told, lines, commit, 10, "session-open-missing", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def generation_deleted() -> Vector:
    told, lines, commit = story()
    del lines["generation"]
    return failing(
        "The generation statement is gone; close and trailer show it.",
        told, lines, commit, 10, "generation-missing", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def everything_deleted() -> Vector:
    told, _, commit = story()
    return failing(
        "All records are gone; the commit's trailer shows it, though nothing was asked for.",
        told, {}, commit, 10, "record-missing", required=False,
        warnings=("provenance-missing",),
    )  # fmt: skip


@case
def earlier_generation_deleted() -> Vector:
    told, lines, commit = story()
    second = replace(
        told.story.facts(), oid=made_up("second", 40), tree=made_up("second tree", 40), sequence=2
    )
    statement = attest.generation(told.session, told.open.sha256, second, told.story.report)[0]
    both = Story(
        ending={"generations": [told.generation.sha256, statement.sha256], "last_sequence": 2}
    ).tell()
    lines = both.lines() | {"second": seal(statement, RECORDER)}
    del lines["generation"]
    judged = replace(commit, oid=second.oid, tree=second.tree, trailers=())
    return failing(
        "The record of an earlier commit of the session is gone; the close lists it.",
        told, lines, judged, 10, "generation-missing", "provenance-missing",
    )  # fmt: skip


@case
def generation_not_in_the_close() -> Vector:
    told, lines, commit = story(ending={"generations": [], "last_sequence": 0})
    return failing(
        "The close does not list a generation that was made during the session.",
        told, lines, commit, 15, "generation-unlisted", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def sequence_used_twice() -> Vector:
    told, lines, commit = story()
    other = replace(told.story.facts(), oid=made_up("twin", 40))
    twin = attest.generation(told.session, told.open.sha256, other, told.story.report)[0]
    lines["twin"] = seal(twin, RECORDER)
    return failing(
        "Two statements claim the same place in one session.",
        told, lines, commit, 15, "sequence-twice", "record-of-another-commit",
        "provenance-missing", "record-missing", "generation-unlisted",
    )  # fmt: skip


@case
def two_closes() -> Vector:
    told, lines, commit = story()
    lines["close-2"] = seal(Story(ending={"exit_status": 1}).tell().close, RECORDER)
    return failing(
        "A session that was closed twice, differently.",
        told, lines, commit, 15, "close-twice", "provenance-missing", "record-missing",
    )  # fmt: skip


@case
def spliced_from_another_session() -> Vector:
    told, lines, commit = story()
    other = Story(session=replace(SESSION, id="another-session")).tell()

    def edit(value: dict[str, Any]) -> None:
        for item in value["predicate"]["buildDefinition"]["resolvedDependencies"]:
            if item["name"] == "session-attestation":
                item["digest"]["sha256"] = other.open.sha256

    lines = {
        "plan": lines["plan"],
        "open": seal(other.open, RECORDER),
        "generation": edited(told.generation, edit, RECORDER),
    }
    return failing(
        "A generation that points at the opening statement of another session.",
        told, lines, commit, 15, "session-differs", "provenance-missing", "record-missing",
        warnings=("session-incomplete",),
    )  # fmt: skip


@case
def edge_to_the_wrong_kind() -> Vector:
    told, lines, commit = story()

    def edit(value: dict[str, Any]) -> None:
        for item in value["predicate"]["buildDefinition"]["resolvedDependencies"]:
            if item["name"] == "session-attestation":
                item["digest"]["sha256"] = told.plan.sha256

    lines["generation"] = edited(told.generation, edit, RECORDER)
    del lines["close"]
    return failing(
        "A generation that names a plan as its session.",
        told, lines, commit, 15, "edge-forbidden", "provenance-missing", "record-missing",
        warnings=("session-incomplete",),
    )  # fmt: skip


@case
def part_missing() -> Vector:
    told, lines, commit = story()

    def edit(value: dict[str, Any]) -> None:
        record = value["predicate"]["runDetails"]["metadata"]["agentprov_commit"]
        record.update(part=1, parts=2)

    lines["generation"] = edited(told.generation, edit, RECORDER)
    del lines["close"]
    return failing(
        "A statement says that it is one of two; the second is gone.",
        told, lines, commit, 10, "part-missing", "provenance-missing", "record-missing",
        warnings=("session-incomplete",),
    )  # fmt: skip


@case
def no_provenance_at_all() -> Vector:
    told, _, commit = story()
    return failing(
        "A commit that nobody recorded, asked for by name.",
        told, {}, replace(commit, trailers=()), 10, "provenance-missing",
    )  # fmt: skip


@case
def trust_without_keys() -> Vector:
    told, lines, commit = story()
    return failing(
        "The trust document names no key: fails closed.",
        told, lines, commit, 16, "trust-empty", "signer-unknown", "provenance-missing",
        "record-missing", trust=TrustRoot((), made_up("trust"), "trust.json"),
    )  # fmt: skip


STAMPS = Path(__file__).resolve().parents[1] / "data" / "timestamps"


def stamped(line: bytes, *names: str) -> bytes:
    """Put timestamps of tests/data/timestamps beside a signature."""
    stamps = tuple((STAMPS / f"{name}.tsr").read_bytes() for name in names)
    return bundles.encode(replace(bundles.parse(line), evidence=Evidence(timestamps=stamps)))


def timed_trust(human: Mapping[str, Any] | None = None) -> TrustRoot:
    """Trust the story's keys and one authority; `human` changes what is said of the person's."""
    chain = (STAMPS / "chain.pem").read_bytes()
    root = trust_of(timestamps=(TimestampAuthority("our-tsa", chain),))
    keys = [replace(key, **(human or {})) if "human" in key.roles else key for key in root.keys]
    return replace(root, keys=tuple(keys))


def timed(about: str, stamp: str | None, human: Mapping[str, Any] | None = None) -> Vector:
    # Shown by another viewer, so that the signature that was stamped outlives changes of ours.
    shown = attest.Presentation("another-viewer/1", made_up("shown"), "terminal")
    told, lines, commit = story(plan={"presentation": shown})
    if stamp is not None:
        lines["plan"] = stamped(lines["plan"], stamp)
    return Vector(about, told, lines, [commit], trust=timed_trust(human))


def fails(vector: Vector, exit_code: int, *errors: str) -> Vector:
    missing = ("provenance-missing", "record-missing")
    return replace(vector, exit_code=exit_code, errors=(*errors, *missing), coverage="uncovered")


@case
def valid_with_a_timestamp() -> Vector:
    return timed("The plan carries the timestamp of a trusted authority.", "plan-10-30")


@case
def valid_with_a_strangers_timestamp() -> Vector:
    about = (
        "The plan carries a timestamp by an authority that calls itself as ours does; it is left"
    )
    return timed(f"{about} aside.", "stranger")


@case
def timestamp_of_another_signature() -> Vector:
    about = "Our authority stamped other bytes than this plan's signature."
    return fails(timed(about, "other-signature"), 19, "timestamp-differs", "plan-missing")


@case
def timestamp_altered() -> Vector:
    vector = timed("The last bit of the authority's signature is flipped.", "plan-10-30")
    bundle = bundles.parse(vector.lines["plan"])
    (stamp,) = bundle.evidence.timestamps
    altered = Evidence(timestamps=(stamp[:-1] + bytes([stamp[-1] ^ 1]),))
    vector.lines["plan"] = bundles.encode(replace(bundle, evidence=altered))
    return fails(vector, 19, "timestamp-invalid", "plan-missing")


@case
def plan_backdated() -> Vector:
    about = (
        "The plan says that it is of 10:30; our authority saw its signature at 10:50, not before."
    )
    return fails(timed(about, "plan-10-50"), 15, "plan-after-session", "time-contradicted")


@case
def key_compromised() -> Vector:
    about = "The person's key is not believed since a time that lies after all that the plan says."
    human = {"compromised": Compromised("2026-11-24T11:00:00Z", "laptop stolen")}
    return fails(timed(about, None, human), 18, "signer-compromised")


@case
def valid_before_the_key_was_compromised() -> Vector:
    about = (
        "The person's key is not believed since 11:00; our authority saw the signature at 10:30."
    )
    human = {"compromised": Compromised("2026-11-24T11:00:00Z", "laptop stolen")}
    return timed(about, "plan-10-30", human)


@case
def key_expired() -> Vector:
    about = (
        "The person's key counts until 11:00, it is 12:00, and nothing shows the signature's age."
    )
    return fails(timed(about, None, {"not_after": "2026-11-24T11:00:00Z"}), 18, "signer-expired")


@case
def valid_before_the_key_expired() -> Vector:
    about = "The person's key counts until 11:00; our authority saw the signature at 10:30."
    return timed(about, "plan-10-30", {"not_after": "2026-11-24T11:00:00Z"})
