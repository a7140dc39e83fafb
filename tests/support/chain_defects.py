"""The cases of tests/vectors about subjects, digests, keys, and whether a story fits together.

Imported for what it enters into `defects.CASES`. Everything is signed well by somebody; where a
generation is changed, the session's close lists it as it was changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from agentprov import attest
from agentprov.attest import Limits
from agentprov.formats import bundle as bundles
from agentprov.formats import canonical, digest
from agentprov.formats.envelope import pae
from agentprov.formats.facts import McpServer
from agentprov.formats.names import BUILDER_PREFIX, PAYLOAD_TYPE
from agentprov.verify.trust import Compromised, TrustRoot
from support.defects import Vector, edited, failing, story
from support.json_defects import MISSING, changed, enter, signed
from support.story import (
    FILES,
    HUMAN,
    PLAN_TEXT,
    RECORDER,
    SESSION,
    File,
    Key,
    Story,
    made_up,
    seal,
    trust_of,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
DIFFERS = ("change-differs",)
FIRST = "src/hello.py"


def _moved(path: str) -> bytes:
    def edit(value: dict[str, Any]) -> None:
        changes = value["predicate"]["runDetails"]["metadata"]["agentprov_changes"]
        for item in changes:
            if item["path"] == FIRST:
                item["path"] = path
        for item in value["subject"]:
            if item["name"] == FIRST:
                item["name"] = path

    return changed(edit)


def _at(about: str, path: str, *errors: str) -> Vector:
    told_differs = errors == DIFFERS
    return signed(about, _moved(path), *errors, exit_code=12 if told_differs else 14)


# A path that git cannot hold is malformed; one that it can is compared, byte for byte, and is
# another file than the one that the commit changes.
PATHS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "path-absolute": ("An absolute path.", "/etc/passwd", ()),
    "path-upwards-in-the-middle": ("A path that climbs halfway.", "src/../../x", ()),
    "path-with-a-dot-step": ("A step that stays where it is.", "./src/hello.py", ()),
    "path-with-an-empty-step": ("Two slashes.", "src//hello.py", ()),
    "path-with-a-slash-behind": ("A slash at the end.", "src/hello.py/", ()),
    "path-empty": ("An empty path.", "", ()),
    "path-with-a-nul": ("A NUL in a path.", "src/hello.py\0.txt", ()),
    "path-into-git": ("A path into .git.", ".git/hooks/post-checkout", ()),
    "path-into-git-in-capitals": ("The same in capitals.", ".GIT/config", ()),
    "path-into-git-of-a-folder": ("A .git further down.", "vendor/.git/config", ()),
    "path-as-a-uri": ("A path as a URI.", "file:///etc/passwd", ()),
    "path-escaped-without-need": (
        "The escaped form of a path that needs none.", "%bytes:src/hello.py", ()),
    "path-escaped-upwards": ("An escaped path that climbs.", "%bytes:../%ff", ()),
    "path-escaped-by-half": ("An escape that is cut off.", "%bytes:%f", ()),
    "path-too-long": ("A path of 12,289 characters.", "x" * 12_289, ()),
    "path-with-a-drive": ("A path with a drive's letter.", "C:\\src\\hello.py", DIFFERS),
    "path-with-backslashes": ("Backslashes for slashes.", "src\\hello.py", DIFFERS),
    "path-with-a-dot-behind": ("A dot behind the name.", "src/hello.py.", DIFFERS),
    "path-with-a-space-behind": ("A space behind the name.", "src/hello.py ", DIFFERS),
    "path-with-percent-signs": ("A dot as %2e.", "src/hello%2epy", DIFFERS),
    "path-with-a-newline": ("A newline in the name.", "src/hello.py\nREADME.md", DIFFERS),
    "path-of-ten-kilobytes": ("A path of 10,000 characters.", "d/" * 4_998 + "file", DIFFERS),
    "path-in-another-case": ("The path in another case.", "SRC/hello.py", DIFFERS),
    "path-with-a-short-name-of-git": ("A short name that means .git.", "git~1/config", DIFFERS),
    "path-with-a-stream": ("A file's stream.", "src/hello.py::$DATA", DIFFERS),
    "path-with-an-unseen-character": (
        "A character of no width in the name.", "src/hel\u200blo.py", DIFFERS),
    "path-in-other-letters": (
        "A letter that only looks like the right one.", "src/hell\u043e.py", DIFFERS),
}  # fmt: skip
for _name, (_about, _path, _errors) in PATHS.items():
    enter(_name, lambda a=_about, p=_path, e=_errors: _at(a, p, *e))  # type: ignore[misc]


def _twins(first: bytes, second: bytes, *, crossed: bool) -> Vector:
    here = (File(first, b"one\n"), File(second, b"two\n"))
    there = (File(first, b"two\n"), File(second, b"one\n"))
    told = Story(files=here).tell()
    commit = Story(files=there if crossed else here).tell().commit()
    if not crossed:
        return Vector(
            "Two names that some file systems take for one; git has both.",
            told, told.lines(), [commit],
        )  # fmt: skip
    return failing(
        "Of two names that some file systems take for one, each has the other's content.",
        told, told.lines(), commit, 12, "content-differs", *MISSING,
    )  # fmt: skip


NFC, NFD = "caf\u00e9.txt".encode(), "cafe\u0301.txt".encode()
for _crossed, _kind in ((False, "valid-twins"), (True, "twins-crossed")):
    enter(f"{_kind}-by-case", lambda c=_crossed: _twins(b"README", b"readme", crossed=c))  # type: ignore[misc]
    enter(f"{_kind}-by-normal-form", lambda c=_crossed: _twins(NFC, NFD, crossed=c))  # type: ignore[misc]


def _subject(edit: Callable[[dict[str, Any]], object], index: int = 1) -> bytes:
    return changed(lambda value: edit(value["subject"][index]))


def _digests(**said: str) -> bytes:
    return _subject(lambda item: item.update(digest=said))


def _metadata(edit: Callable[[dict[str, Any]], object]) -> bytes:
    return changed(lambda value: edit(value["predicate"]["runDetails"]["metadata"]))


RIGHT = digest.sha256(FILES[0].after or b"")
SUBJECTS: Mapping[str, tuple[str, bytes, tuple[str, ...], int]] = {
    "digest-wrong": (
        "A file's digest is of something else.", _digests(sha256=made_up("x")),
        ("content-differs",), 12),
    "digest-in-capitals": ("A digest in capitals.", _digests(sha256=RIGHT.upper()), (), 14),
    "digest-cut-off": ("A digest of 63 digits.", _digests(sha256=RIGHT[:-1]), (), 14),
    "digest-too-short": ("A digest of 32 digits.", _digests(sha256=RIGHT[:32]), (), 14),
    "digest-with-a-prefix": ("sha256: before the digits.", _digests(sha256=f"sha256:{RIGHT}"), (),
        14),
    "digest-set-empty": ("A file without any digest.", _digests(), (), 14),
    "digest-of-md5-alone": ("MD5 alone binds a file.", _digests(md5="0" * 32),
        ("weak-digest",), 14),
    "digest-of-an-unknown-kind-alone": (
        "An algorithm that nobody knows binds a file alone.", _digests(ours="0" * 64),
        ("weak-digest",), 14),
    "digest-of-git-alone": (
        "A git blob id alone binds a file, by SHA-1.",
        _digests(gitBlob=FILES[0].diff().new_blob or ""), ("weak-digest",), 14),
    "digest-right-beside-a-wrong-blob": (
        "The sha256 is right, the blob id beside it is another file's.",
        _digests(sha256=RIGHT, gitBlob=made_up("blob", 40)), (), 14),
    "digest-right-beside-a-wrong-one": (
        "The sha256 is right and the sha512 beside it is not: all must be, not any.",
        _digests(sha256=RIGHT, sha512=made_up("wrong", 128)), (), 14),
    "digest-right-beside-a-wrong-weak-one": (
        "The sha256 is right and the md5 beside it is not.",
        _digests(sha256=RIGHT, md5="0" * 32), (), 14),
    "digest-right-beside-one-that-nobody-checks": (
        "The sha256 is right; beside it stands one that is right too, and of a kind that a "
        "verifier here does not make.",
        _digests(sha256=RIGHT, sha512=hashlib.sha512(FILES[0].after or b"").hexdigest()), (), 14),
    "subject-left-out": (
        "A changed file is no subject: only its SHA-1 blob id would bind it.",
        changed(lambda value: value["subject"].pop(1)), ("weak-digest",), 14),
    "subject-twice": (
        "A file is a subject twice, with two digests.",
        changed(lambda value: value["subject"].append(
            {"name": FIRST, "digest": {"sha256": made_up("x")}})), (), 14),
    "subject-of-no-change": (
        "A subject that the changes do not list.",
        changed(lambda value: value["subject"].append(
            {"name": "extra.py", "digest": {"sha256": made_up("x")}})), (), 14),
    "subject-of-another-commit": (
        "Subject and commit record name different commits.",
        _subject(lambda item: item["digest"].update(gitCommit=made_up("x", 40)), 0), (), 14),
    "change-twice": (
        "A path is changed twice.",
        _metadata(lambda data: data["agentprov_changes"].append(
            dict(data["agentprov_changes"][0]))), (), 14),
    "change-of-a-file-that-did-not": (
        "A change is listed that the commit does not make.",
        _metadata(lambda data: data["agentprov_changes"].append(
            {"path": "quiet.txt", "op": "delete", "mode": "100644"})), ("change-differs",), 12),
    "commit-record-of-another-tree": (
        "The commit record names another tree than the commit has.",
        _metadata(lambda data: data["agentprov_commit"].update(gitTree=made_up("x", 40))),
        ("commit-differs",), 12),
    "commit-record-with-other-parents": (
        "The commit record names other parents.",
        _metadata(lambda data: data["agentprov_commit"].update(parents=[made_up("x", 40)])),
        ("commit-differs",), 12),
    "builder-of-the-predicate-differs": (
        "The generation speaks of another builder than its session.",
        changed(lambda value: value["predicate"]["runDetails"]["builder"].update(
            id=BUILDER_PREFIX + "isolated/v0.1")), ("signer-builder",), 17),
    "generation-in-another-repository": (
        "The generation names another repository than its session.",
        _metadata(lambda data: data["agentprov_commit"].update(
            repository="git+https://git.example.com/acme/fork")), ("session-differs",), 15),
    "generation-of-another-start": (
        "The generation's session began at another time than the one that it points at.",
        _metadata(lambda data: data.update(startedOn="2026-11-24T10:31:01Z")),
        ("session-differs",), 15),
    "generation-of-another-agent": (
        "The generation names another agent than its session.",
        changed(lambda value: value["predicate"]["buildDefinition"]["externalParameters"].update(
            agent="another")), ("session-differs",), 15),
    "generation-without-its-session": (
        "The generation does not point at any session.",
        changed(lambda value: value["predicate"]["buildDefinition"].update(
            resolvedDependencies=[item for item in
                value["predicate"]["buildDefinition"]["resolvedDependencies"]
                if item["name"] != "session-attestation"])), (), 14),
    "generation-without-its-plan": (
        "The generation hides that its session had a plan.",
        changed(lambda value: (
            value["predicate"]["buildDefinition"].update(
                resolvedDependencies=[item for item in
                    value["predicate"]["buildDefinition"]["resolvedDependencies"]
                    if not item["name"].startswith("plan")]),
            value["predicate"]["buildDefinition"]["externalParameters"].pop("plan"))),
        ("session-differs",), 15),
    "dependency-twice": (
        "Two dependencies of one name: which session is meant?",
        changed(lambda value: value["predicate"]["buildDefinition"][
            "resolvedDependencies"].append({
                "name": "session-attestation", "digest": {"sha256": made_up("x")}})), (), 14),
    "lines-overlap": (
        "Two ranges claim one line for different hands.",
        _metadata(lambda data: data["agentprov_changes"][0].update(ranges=[
            {"start": 1, "end": 1, "origin": "model", "basis": "reported"},
            {"start": 1, "end": 1, "origin": "human", "basis": "reported"}])), (), 14),
    "time-without-a-zone": (
        "A time that does not say in which zone.",
        _metadata(lambda data: data.update(startedOn="2026-11-24T10:31:00")), (), 14),
    "time-with-an-offset": (
        "A time with an offset where Z must stand.",
        _metadata(lambda data: data.update(startedOn="2026-11-24T11:31:00+01:00")), (), 14),
    "time-that-does-not-exist": (
        "The thirtieth of February.",
        _metadata(lambda data: data.update(startedOn="2026-02-30T10:31:00Z")), (), 14),
    "part-beyond-the-parts": (
        "Part three of two.",
        _metadata(lambda data: data["agentprov_commit"].update(part=3, parts=2)), (), 14),
}  # fmt: skip
for _name, (_about, _payload, _errors, _code) in SUBJECTS.items():
    enter(
        _name,
        lambda a=_about, p=_payload, e=_errors, c=_code: signed(a, p, *e, exit_code=c),  # type: ignore[misc]
    )


def _plan_line(about: str, line: Callable[[bytes], bytes], exit_code: int, *errors: str) -> Vector:
    """Make a vector in which only the plan's signature is another."""
    told, lines, commit = story()
    return failing(
        about, told, lines | {"plan": line(lines["plan"])}, commit, exit_code, *errors, *MISSING
    )


def _resigned(sign: Callable[[bytes], bytes], hint: str | None = None) -> Callable[[bytes], bytes]:
    def make(line: bytes) -> bytes:
        parsed = bundles.parse(line)
        new = sign(parsed.payload)
        return bundles.encode(replace(parsed, signature=new, hint=hint or parsed.hint))

    return make


def _raw(data: bytes) -> bytes:
    r, s = decode_dss_signature(HUMAN.sign(pae(PAYLOAD_TYPE, data)))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _mirrored(data: bytes) -> bytes:
    r, s = decode_dss_signature(HUMAN.sign(pae(PAYLOAD_TYPE, data)))
    return encode_dss_signature(r, P256_ORDER - s)


BAD = ("signature-invalid", "plan-missing")
SIGNATURES: Mapping[str, tuple[str, Callable[[bytes], bytes], tuple[str, ...]]] = {
    "signature-over-the-payload-alone": (
        "The signature is over the payload without its type.", _resigned(HUMAN.sign), BAD),
    "signature-over-another-type": (
        "The signature is over the payload under another type.",
        _resigned(lambda data: HUMAN.sign(pae("text/plain", data))), BAD),
    "signature-over-a-digest": (
        "The signature is over the payload's digest.",
        _resigned(lambda data: HUMAN.sign(hashlib.sha256(data).digest())), BAD),
    "signature-of-another-statement": (
        "The signature is the same key's over another statement.",
        _resigned(lambda data: HUMAN.sign(pae(PAYLOAD_TYPE, Story().tell().open.payload))), BAD),
    "signature-as-two-numbers": (
        "The signature as two numbers side by side instead of DER.", _resigned(_raw), BAD),
    "signature-with-bytes-behind": (
        "A byte behind the signature's DER.",
        _resigned(lambda data: HUMAN.sign(pae(PAYLOAD_TYPE, data)) + b"\0"), BAD),
    "signature-of-zeros": (
        "A signature of two zeros.", _resigned(lambda _: encode_dss_signature(0, 0)), BAD),
    "signature-of-another-algorithm": (
        "An Ed25519 signature under the hint of a P-256 key.",
        _resigned(lambda data: RECORDER.sign(pae(PAYLOAD_TYPE, data))), BAD),
    "signature-with-the-public-key-as-a-secret": (
        "The public key was used as the secret of a keyed hash.",
        _resigned(lambda data: hashlib.blake2b(data, key=HUMAN.spki[-64:]).digest()), BAD),
    "signature-mirrored": (
        "An ECDSA signature's other form, which anybody can make; the session saw the first.",
        _resigned(_mirrored), ("plan-signature-differs",)),
    "hint-in-hexadecimal": (
        "The right key's hint in hexadecimal.",
        _resigned(lambda data: HUMAN.sign(pae(PAYLOAD_TYPE, data)), digest.sha256(HUMAN.spki)),
        ("signer-unknown", "plan-missing")),
}  # fmt: skip
EXIT_OF = {"signature-invalid": 11, "plan-signature-differs": 15, "signer-unknown": 17}
for _name, (_about, _line, _errors) in SIGNATURES.items():
    enter(
        _name,
        lambda a=_about, f=_line, e=_errors: _plan_line(a, f, EXIT_OF[e[0]], *e),  # type: ignore[misc]
    )


def _told(
    about: str, exit_code: int, *errors: str, trust: TrustRoot | None = None, **facts: Any
) -> Vector:
    told, lines, commit = story(**facts)
    return failing(
        about, told, lines, commit, exit_code, *errors, *MISSING, trust=trust or trust_of()
    )


def _keys(**said: Any) -> TrustRoot:
    """Trust the story's keys and say this of the recorder's."""
    root = trust_of()
    return replace(
        root,
        keys=tuple(replace(key, **said) if "recorder" in key.roles else key for key in root.keys),
    )


def _without(about: str, name: str, exit_code: int, *errors: str, **more: Any) -> Vector:
    told, lines, commit = story()
    del lines[name]
    return failing(about, told, lines, commit, exit_code, *errors, *MISSING, **more)


def _session_twice() -> Vector:
    told, lines, commit = story()
    other = attest.session_open(replace(told.session, platform="linux/arm64"))
    lines["open-2"] = seal(other, RECORDER)
    return failing(
        "A session that was opened twice, differently.",
        told, lines, commit, 15, "session-twice", *MISSING,
    )  # fmt: skip


def _commit_twice() -> Vector:
    told, lines, commit = story()
    second = replace(told.story.facts(), sequence=2, during=False)
    twin = attest.generation(told.session, told.open.sha256, second, told.story.report)[0]
    lines["twin"] = seal(twin, RECORDER)
    return failing(
        "Two statements of one session claim one commit.",
        told, lines, commit, 15, "commit-twice", *MISSING,
    )  # fmt: skip


def _hidden_tail() -> Vector:
    told, lines, commit = story()
    second = replace(told.story.facts(), oid=made_up("second", 40), sequence=2)
    statement = attest.generation(told.session, told.open.sha256, second, told.story.report)[0]
    lines["second"] = seal(statement, RECORDER)
    judged = replace(commit, oid=second.oid, trailers=(f"{told.session.id}/2",))
    return failing(
        "The close was put back to an older one, which ends before the session's last commit.",
        told, lines, judged, 15, "generation-unlisted", "record-of-another-commit", *MISSING,
    )  # fmt: skip


def _close_of(about: str, edit: Callable[[dict[str, Any]], object], code: str) -> Vector:
    told, lines, commit = story()
    lines["close"] = edited(told.close, edit, RECORDER)
    exit_code = {"statement-malformed": 14, "generation-missing": 10}.get(code, 15)
    return failing(about, told, lines, commit, exit_code, code, *MISSING)


def _reordered() -> Vector:
    first = Story().tell()
    second = replace(first.story.facts(), oid=made_up("second", 40), sequence=2)
    later = attest.generation(first.session, first.open.sha256, second, first.story.report)[0]
    told, lines, commit = story(
        ending={"generations": [later.sha256, first.generation.sha256], "last_sequence": 1}
    )
    lines["second"] = seal(later, RECORDER)
    return failing(
        "The close lists the session's commits in another order.",
        told, lines, commit, 15, "sequence-broken", "record-of-another-commit", *MISSING,
    )  # fmt: skip


def _no_close(about: str, edit: Callable[[dict[str, Any]], object], *warnings: str) -> Vector:
    """Make a vector of a close that counts for nothing, which is as if there were none."""
    told, lines, commit = story()
    lines["close"] = edited(told.close, edit, RECORDER)
    return Vector(about, told, lines, [commit], warnings=warnings)


def _two_recorders() -> Vector:
    other = replace(RECORDER, seed=66, person="recorder of grace@example.com")
    told, lines, commit = story()
    lines["generation"] = seal(told.generation, other)
    return failing(
        "Another trusted recorder signs a generation of this one's session.",
        told, lines, commit, 15, "session-differs", *MISSING,
        trust=trust_of(HUMAN, RECORDER, other),
    )  # fmt: skip


def _replayed_session() -> Vector:
    told, lines, commit = story()
    other = replace(commit, oid=made_up("other", 40), tree=made_up("other tree", 40))
    return failing(
        "A commit copies another's session trailer, and the other's records hang on it.",
        told, lines, other, 15, "record-of-another-commit", "provenance-missing",
        warnings=("commit-rewritten",),
    )  # fmt: skip


def _stripped(about: str, *names: str, warnings: tuple[str, ...] = ()) -> Vector:
    told, lines, commit = story()
    kept = {name: line for name, line in lines.items() if name not in names}
    return failing(about, told, kept, commit, 10, *MISSING, warnings=warnings)


def _unsigned() -> Vector:
    told, lines, commit = story()
    value = json.loads(lines["generation"])
    value["dsseEnvelope"]["signatures"] = []
    lines["generation"] = canonical.encode(value)
    return failing(
        "The generation's signature was taken away.",
        told, lines, commit, 14, "bundle-malformed", "generation-missing", *MISSING,
    )  # fmt: skip


def _resigned_by_a_stranger() -> Vector:
    stranger = Key(77, "mailto:eve@example.com", RECORDER.roles, RECORDER.builders)
    edited_file = replace(FILES[0], after=b"print('hell0')\n")
    told = Story(files=(edited_file, *FILES[1:]), recorder=stranger, human=stranger).tell()
    return failing(
        "Somebody edits a file, records everything anew, and signs with a key of their own.",
        told, told.lines(), told.commit(), 17, "signer-unknown", *MISSING,
    )  # fmt: skip


def _impostor() -> Vector:
    stranger = Key(77, HUMAN.person, HUMAN.roles, HUMAN.builders)
    told, lines, commit = story()
    lines["plan"] = seal(told.plan, stranger)
    return failing(
        "A stranger signs the plan that names a trusted person as its author.",
        told, lines, commit, 17, "signer-unknown", "plan-missing", *MISSING,
    )  # fmt: skip


CHAIN: Mapping[str, Callable[[], Vector]] = {
    "session-opened-twice": _session_twice,
    "commit-claimed-twice": _commit_twice,
    "close-put-back": _hidden_tail,
    "close-in-another-order": _reordered,
    "close-of-another-start": lambda: _close_of(
        "The close says that the session began at another time.",
        lambda value: value["predicate"]["session"].update(startedOn="2026-11-24T10:30:59Z"),
        "session-differs"),
    "valid-beside-a-close-of-a-plan": lambda: _no_close(
        "The close names a plan as the opening statement.",
        lambda value: value["predicate"]["open"].update(sha256=Story().tell().plan.sha256),
        "edge-forbidden"),
    "close-lists-the-plan": lambda: _close_of(
        "The close lists a plan among the generations.",
        lambda value: value["predicate"]["generations"].append(
            {"sha256": Story().tell().plan.sha256}), "edge-forbidden"),
    "valid-beside-a-close-lists-one-twice": lambda: _no_close(
        "The close lists a generation twice.",
        lambda value: value["predicate"]["generations"].append(
            dict(value["predicate"]["generations"][0])),
        "session-incomplete", "statement-malformed"),
    "close-counts-further": lambda: _close_of(
        "The close counts further than what it lists.",
        lambda value: value["predicate"].update(lastSequence=2), "sequence-broken"),
    "close-lists-one-that-is-nowhere": lambda: _close_of(
        "The close lists a generation that nobody has.",
        lambda value: value["predicate"]["generations"].append({"sha256": made_up("nowhere")}),
        "generation-missing"),
    "valid-beside-a-close-before-the-start": lambda: _no_close(
        "The session ended before it began.",
        lambda value: value["predicate"]["session"].update(finishedOn="2026-11-24T10:00:00Z"),
        "session-incomplete", "statement-malformed"),
    "valid-beside-a-close-with-two-journals": lambda: _no_close(
        "Subject and journal name different heads.",
        lambda value: value["predicate"]["journal"]["head"].update(sha256=made_up("other")),
        "session-incomplete", "statement-malformed"),
    "generation-by-another-recorder": _two_recorders,
    "trailer-copied": _replayed_session,
    "plan-deleted": lambda: _without(
        "The plan's statement is gone; the session names it.", "plan", 10, "plan-missing"),
    "only-the-plan-left": lambda: _stripped(
        "All but the plan is gone.", "open", "generation", "close"),
    "only-the-session-left": lambda: _stripped(
        "Generation and close are gone; the trailer shows it.", "generation", "close",
        warnings=("session-incomplete",)),
    "signature-taken-away": _unsigned,
    "signed-anew-by-a-stranger": _resigned_by_a_stranger,
    "plan-by-an-impostor": _impostor,
    "plan-read-was-another": lambda: _told(
        "The session read other bytes than the plan's signer saw.", 12,
        "plan-differs", "content-differs",
        plan={"digests": {"sha256": made_up("another plan")}}),
    "plan-right-beside-a-wrong-blob": lambda: _told(
        "The plan's sha256 is right, the blob id beside it is another file's.",
        12, "content-differs",
        plan={"digests": {"sha256": digest.sha256(PLAN_TEXT), "gitBlob": made_up("x", 40)}}),
    "plan-from-the-future": lambda: _told(
        "A plan of the next year.", 15, "plan-after-session", "time-in-future",
        plan={"declared_at": "2027-11-24T10:30:00Z"}),
    "plan-with-a-repository-in-another-spelling": lambda: _told(
        "The plan is for this repository in another case; nobody guesses that it is the same.",
        15, "plan-elsewhere",
        plan={"limits": Limits(repository="git+https://git.example.com/ACME/app")}),
    "close-from-the-future": lambda: _told(
        "The session ends in 2099.", 15, "time-in-future",
        ending={"finished": "2099-01-01T00:00:00Z"}),
    "recorder-compromised": lambda: _told(
        "The recorder's key is not believed any more, and nothing shows that this is older.",
        18, "signer-compromised",
        trust=_keys(compromised=Compromised("2026-11-24T11:00:00Z", "laptop stolen"))),
    "recorder-expired": lambda: _told(
        "The recorder's key counted until 11:00, and nothing shows that this is older.",
        18, "signer-expired", trust=_keys(not_after="2026-11-24T11:00:00Z")),
    "recorder-without-a-builder": lambda: _told(
        "The trust document names no builder for the recorder's key.",
        17, "signer-builder", trust=_keys(builders=frozenset())),
    "recorder-is-only-a-reviewer": lambda: _told(
        "The recorder's key is trusted as a reviewer's.",
        17, "signer-role", trust=_keys(roles=frozenset({"reviewer"}))),
    "builder-by-a-prefix": lambda: _told(
        "The builder that is trusted is the beginning of the one that speaks.",
        17, "signer-builder",
        trust=_keys(builders=frozenset({SESSION.builder[:-1]}))),
    "basis-of-a-server-above-the-cap": lambda: _told(
        "A local wrapper claims to have seen a server from out of the agent's reach.",
        14, "basis-above-cap",
        session=replace(SESSION, mcp_servers=(McpServer("github", "isolated"),))),
}  # fmt: skip
for _name, _make in CHAIN.items():
    enter(_name, _make)

__all__ = ["CHAIN", "PATHS", "SIGNATURES", "SUBJECTS"]
