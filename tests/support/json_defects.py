"""The cases of tests/vectors about spelling: JSON, base64, bundles, and types passed off as others.

Imported for what it enters into `defects.CASES`. Where the bytes are a signed payload, the
signature over them is good and the session's close lists them, so that nothing else is wrong.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from agentprov.formats import canonical, digest
from agentprov.formats.bundle import key_hint
from support.defects import CASES, Vector, failing, opened
from support.story import HUMAN, RECORDER, Key, Story, Told, made_up, seal

MISSING = ("provenance-missing", "record-missing")
Edit = Callable[[Any], object]


def enter(name: str, make: Callable[[], Vector]) -> None:
    """Enter a vector under its name; no name is taken twice."""
    if name in CASES:
        raise ValueError(f"two vectors are called {name}")
    CASES[name] = make


def relisted(payload: bytes) -> tuple[Told, dict[str, bytes]]:
    """Give the story with these bytes in the generation's place, signed and listed by the close."""
    told = Story(ending={"generations": [digest.sha256(payload)]}).tell()
    return told, told.lines() | {"generation": seal(payload, RECORDER)}


def changed(edit: Edit) -> bytes:
    """Give the story's generation as JSON bytes after an edit."""
    value = json.loads(Story().tell().generation.payload)
    edit(value)
    return canonical.encode(value)


def signed(about: str, payload: bytes, *errors: str, exit_code: int = 14) -> Vector:
    """Make a vector of generation bytes that must not count, though they are signed well."""
    told, lines = relisted(payload)
    found = errors or ("statement-malformed", "generation-missing")
    return failing(about, told, lines, told.commit(), exit_code, *found, *MISSING)


def accepted(about: str, payload: bytes) -> Vector:
    told, lines = relisted(payload)
    return Vector(about, told, lines, [told.commit()])


def named(about: str, data: bytes, code: str = "bundle-malformed", exit_code: int = 14) -> Vector:
    """Make a vector of a file that the user named, beside a good story."""
    told = Story().tell()
    return failing(
        about, told, told.lines(), told.commit(), exit_code, code, named=data, coverage="covered"
    )


PAYLOAD = Story().tell().generation.payload
BUNDLE = Story().tell().lines()["generation"]


def odd(value: bytes) -> bytes:
    """Put a member that readers ignore into the signed statement, with this value."""
    return b'{"odd":' + value + b"," + PAYLOAD[1:]


def twice(member: bytes, other: bytes) -> bytes:
    """Write a member before its first occurrence once more, with another value."""
    assert member in PAYLOAD
    return PAYLOAD.replace(member, member + other + b"," + member, 1)


JSON_DEFECTS: dict[str, tuple[str, bytes]] = {
    "json-key-twice-in-the-predicate": (
        "The build type stands there twice.", twice(b'"buildType":', b'"x"')),
    "json-key-twice-in-external-parameters": (
        "The agent stands there twice.", twice(b'"agent":', b'"x"')),
    "json-key-twice-in-a-subject": (
        "A subject has two digest sets.", twice(b'"subject":[{"digest":', b"{}").replace(
            b'{},"subject":[{"digest":', b'{},"digest":', 1)),
    "json-key-twice-in-a-digest-set": (
        "A digest set gives sha256 twice.", twice(b'"sha256":', b'"' + b"0" * 64 + b'"')),
    "json-key-twice-in-a-member-that-is-ignored": (
        "Only a member that readers ignore has a key twice.", odd(b'{"a":1,"a":1}')),
    "json-key-twice-by-an-escape": (
        "A key stands twice, once spelled with an escape.",
        b'{"\\u005ftype":"x",' + PAYLOAD[1:]),
    "json-nan": ("NaN, which JSON does not have.", odd(b"NaN")),
    "json-infinity": ("Infinity, which JSON does not have.", odd(b"Infinity")),
    "json-minus-infinity": ("-Infinity, which JSON does not have.", odd(b"-Infinity")),
    "json-number-beyond-all-doubles": (
        "A number that parsers read as infinity.", odd(b"1e400")),
    "json-integer-of-2-to-the-53": (
        "An integer that not every parser can tell from its neighbour.", odd(b"9007199254740992")),
    "json-integer-below-the-range": (
        "The same below zero.", odd(b"-9007199254740992")),
    "json-integer-of-five-thousand-digits": (
        "An integer of 5,000 digits.", odd(b"7" * 5000)),
    "json-minus-zero": (
        "-0, which is an integer to some parsers and a fraction to others.", odd(b"-0")),
    "json-leading-zero": ("A number with a leading zero.", odd(b"01")),
    "json-hexadecimal-number": ("A number in hexadecimal.", odd(b"0x10")),
    "json-plus-sign": ("A number with a plus sign.", odd(b"+1")),
    "json-float-for-an-integer": (
        "The place in the session is 1.0.", PAYLOAD.replace(b'"sequence":1', b'"sequence":1.0', 1)),
    "json-exponent-for-an-integer": (
        "The place in the session is 1e0.", PAYLOAD.replace(b'"sequence":1', b'"sequence":1e0', 1)),
    "json-text-for-an-integer": (
        "The place in the session is text.",
        PAYLOAD.replace(b'"sequence":1', b'"sequence":"1"', 1)),
    "json-true-for-an-integer": (
        "The place in the session is true, which some languages count as 1.",
        PAYLOAD.replace(b'"sequence":1', b'"sequence":true', 1)),
    "json-lone-surrogate-escaped": ("Half a surrogate pair as an escape.", odd(b'"\\ud800"')),
    "json-lone-surrogate-in-a-key": ("Half a surrogate pair in a key.", odd(b'{"\\udfff":1}')),
    "json-surrogates-in-the-wrong-order": (
        "A surrogate pair the wrong way round.", odd(b'"\\udc00\\ud800"')),
    "json-surrogate-as-bytes": (
        "Half a surrogate pair as three bytes.", odd(b'"\xed\xa0\x80"')),
    "json-not-utf-8": ("A byte that UTF-8 does not have.", odd(b'"\xff"')),
    "json-overlong-utf-8": ("A slash in two bytes.", odd(b'"\xc0\xaf"')),
    "json-cut-utf-8": ("The first byte of a character, without the rest.", odd(b'"\xc3"')),
    "json-in-utf-16": (
        "The statement in UTF-16 with a byte order mark.",
        b"\xff\xfe" + PAYLOAD.decode().encode("utf-16-le")),
    "json-in-utf-16-without-a-mark": (
        "The statement in UTF-16 without one.", PAYLOAD.decode().encode("utf-16-le")),
    "json-in-utf-32": ("The statement in UTF-32.", PAYLOAD.decode().encode("utf-32-be")),
    "json-too-deep": ("Arrays 65 deep, counting the statement.", odd(b"[" * 64 + b"]" * 64)),
    "json-far-too-deep": (
        "Arrays 20,000 deep, never closed.", odd(b"[" * 20_000)),
    "json-then-another-value": ("A second value after the statement.", PAYLOAD + b"{}"),
    "json-then-a-nul": ("A NUL after the statement.", PAYLOAD + b"\0"),
    "json-then-a-bracket": ("A bracket too many.", PAYLOAD + b"}"),
    "json-comment": ("A comment after the statement.", PAYLOAD + b"// ours"),
    "json-comment-inside": ("A comment inside the statement.", b"{/* ours */" + PAYLOAD[1:]),
    "json-trailing-comma": ("A comma before the last bracket.", PAYLOAD[:-1] + b",}"),
    "json-single-quotes": ("A string in single quotes.", odd(b"'x'")),
    "json-key-without-quotes": ("A key without quotes.", b"{odd:1," + PAYLOAD[1:]),
    "json-newline-in-a-string": ("A newline in a string, not escaped.", odd(b'"a\nb"')),
    "json-nul-in-a-string": ("A NUL in a string, not escaped.", odd(b'"a\0b"')),
    "json-unknown-escape": ("An escape that JSON does not have.", odd(b'"\\x41"')),
    "json-odd-space": ("A no-break space between members.", b"{\xc2\xa0" + PAYLOAD[1:]),
    "json-array-around": ("An array around the statement.", b"[" + PAYLOAD + b"]"),
    "json-text-around": (
        "The statement as a JSON string.", json.dumps(PAYLOAD.decode()).encode()),
    "json-null": ("null in the statement's place.", b"null"),
    "json-only-spaces": ("Spaces in the statement's place.", b"   "),
    "json-cut-off": ("The last byte of the statement is missing.", PAYLOAD[:-1]),
    "json-null-for-a-member": (
        "The subject is null.", changed(lambda value: value.update(subject=None))),
}  # fmt: skip
for _name, (_about, _payload) in JSON_DEFECTS.items():
    enter(_name, lambda about=_about, payload=_payload: signed(about, payload))  # type: ignore[misc]


def _as_before(value: dict[str, Any]) -> None:
    """Say again what the opening says, as generations did when each stood for itself."""
    found = value["predicate"]["buildDefinition"]["resolvedDependencies"]
    seen = {"annotations": {"basis": "observed"}}
    at = next(n for n, item in enumerate(found) if item["name"] == "agent") + 1
    node = {"name": "agent/node", "digest": {"sha256": made_up("node")}}
    digest = {"sha256": made_up("instructions")}
    text = {"name": "agent-instructions/CLAUDE.md", "digest": digest, **seen}
    found[at:at] = [node, text]
    found[-1]["digest"] = {"sha256": made_up("mcp")}


JSON_ODDITIES: dict[str, tuple[str, bytes]] = {
    "valid-generation-that-says-the-session-again": (
        "A generation as they were written first: instructions, files beside the agent and the "
        "digests of servers stand in it too.", changed(_as_before)),
    "valid-json-indented": (
        "The statement was indented before it was signed; what was signed is what counts.",
        json.dumps(json.loads(PAYLOAD), indent=2).encode()),
    "valid-json-in-another-order": (
        "The members stand in another order than the canonical one.",
        json.dumps(dict(reversed(json.loads(PAYLOAD).items()))).encode()),
    "valid-json-with-a-member-to-ignore": (
        "A member that nobody knows, as in-toto asks readers to ignore.", odd(b'{"x":[]}')),
    "valid-json-with-a-fraction-to-ignore": (
        "A fraction in a member that nobody knows.", odd(b"0.5")),
    "valid-json-largest-integers": (
        "The largest and the smallest integer that are allowed.",
        odd(b"[9007199254740991,-9007199254740991]")),
    "valid-json-as-deep-as-allowed": (
        "Arrays 64 deep, counting the statement.", odd(b"[" * 63 + b"]" * 63)),
    "valid-json-surrogate-pair": (
        "A character beyond the sixteen bits as two escapes.", odd(b'"\\ud83d\\ude00"')),
    "valid-json-brackets-in-a-string": (
        "A hundred brackets in a string nest nothing.", odd(b'"' + b"[" * 100 + b'"')),
}  # fmt: skip
for _name, (_about, _payload) in JSON_ODDITIES.items():
    enter(_name, lambda about=_about, payload=_payload: accepted(about, payload))  # type: ignore[misc]


def bundled(edit: Edit) -> bytes:
    """Give the story's generation bundle after an edit of its JSON."""
    value = opened(BUNDLE)
    edit(value)
    return json.dumps(value, separators=(",", ":")).encode()


def _signature(**said: Any) -> Edit:
    return lambda value: value["dsseEnvelope"]["signatures"][0].update(said)


def _material(**said: Any) -> Edit:
    return lambda value: value["verificationMaterial"].update(said)


def _payload(spell: Callable[[bytes], str]) -> Edit:
    return lambda value: value["dsseEnvelope"].update(payload=spell(PAYLOAD))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _url_safe(data: bytes) -> str:
    made = base64.urlsafe_b64encode(data).decode()
    return made if made != _base64(data) else made[:-4] + "__8="


def _message(value: Any) -> None:
    envelope = value.pop("dsseEnvelope")
    sha256 = base64.b64encode(bytes.fromhex(digest.sha256(PAYLOAD))).decode()
    value["messageSignature"] = {
        "messageDigest": {"algorithm": "SHA2_256", "digest": sha256},
        "signature": envelope["signatures"][0]["sig"],
    }


BUNDLE_DEFECTS: dict[str, tuple[str, bytes]] = {
    "bundle-key-twice": (
        "The envelope stands there twice.",
        BUNDLE.replace(b'"dsseEnvelope":', b'"dsseEnvelope":{},"dsseEnvelope":', 1)),
    "bundle-key-twice-in-the-envelope": (
        "The payload stands there twice.",
        BUNDLE.replace(b'"payload":', b'"payload":"e30=","payload":', 1)),
    "bundle-key-twice-in-the-signature": (
        "The signature stands there twice.", BUNDLE.replace(b'"sig":', b'"sig":"AA==","sig":', 1)),
    "bundle-key-twice-in-the-material": (
        "The hint stands there twice.", BUNDLE.replace(b'"hint":', b'"hint":"x","hint":', 1)),
    "bundle-byte-order-mark": ("A byte order mark before the bundle.", b"\xef\xbb\xbf" + BUNDLE),
    "bundle-in-utf-16": (
        "The bundle in UTF-16.", b"\xff\xfe" + BUNDLE.decode().encode("utf-16-le")),
    "bundle-with-a-comment": ("A comment after the bundle.", BUNDLE + b"/* ours */"),
    "bundle-then-another": ("Two bundles without a line's end between them.", BUNDLE + BUNDLE),
    "bundle-cut-off": ("The last byte of the bundle is missing.", BUNDLE[:-1]),
    "bundle-array": ("An array around the bundle.", b"[" + BUNDLE + b"]"),
    "bundle-too-deep": ("A bundle of brackets, 20,000 deep.", b"[" * 20_000),
    "bundle-envelope-alone": (
        "The envelope without a bundle around it.",
        json.dumps(opened(BUNDLE)["dsseEnvelope"]).encode()),
    "bundle-statement-alone": ("The statement alone, without any signature.", PAYLOAD),
    "bundle-of-version-0-1": (
        "A bundle that says it is of version 0.1.",
        bundled(lambda value: value.update(
            mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1"))),
    "bundle-of-version-0-2": (
        "A bundle that says it is of version 0.2.",
        bundled(lambda value: value.update(
            mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"))),
    "bundle-of-version-0-4": (
        "A bundle that says it is of a version that is not known here.",
        bundled(lambda value: value.update(
            mediaType="application/vnd.dev.sigstore.bundle.v0.4+json"))),
    "bundle-without-a-media-type": (
        "A bundle that does not say what it is.", bundled(lambda value: value.pop("mediaType"))),
    "bundle-of-a-message-signature": (
        "A signature over a digest, in the place of one over an envelope.", bundled(_message)),
    "bundle-of-both-kinds": (
        "An envelope and a signature over a digest.",
        bundled(lambda value: value.update(
            messageSignature={"signature": "AA=="}))),
    "bundle-without-signatures": (
        "A bundle whose list of signatures is empty.",
        bundled(lambda value: value["dsseEnvelope"].update(signatures=[]))),
    "bundle-with-an-empty-signature": (
        "A bundle whose signature is empty.", bundled(_signature(sig=""))),
    "bundle-without-material": (
        "A bundle that names neither key nor certificate.",
        bundled(lambda value: value["verificationMaterial"].pop("publicKey"))),
    "bundle-with-key-and-certificate": (
        "A bundle that names both.", bundled(_material(certificate={"rawBytes": "AAAA"}))),
    "bundle-with-a-chain-of-certificates": (
        "A chain of certificates, as older bundles carry one.",
        bundled(_material(x509CertificateChain={"certificates": [{"rawBytes": "AAAA"}]}))),
    "bundle-brings-its-key": (
        "A bundle that brings the key to verify it with.",
        bundled(_material(publicKey={"rawBytes": _base64(RECORDER.spki)}))),
    "bundle-keyid-against-the-hint": (
        "keyid and hint name different keys.",
        bundled(_signature(keyid=key_hint(HUMAN.spki)))),
    "bundle-with-a-certificate-in-the-signature": (
        "A certificate beside the signature.", bundled(_signature(cert="AAAA"))),
    "base64-url-alphabet": ("The payload in base64url.", bundled(_payload(_url_safe))),
    "base64-without-padding": (
        "A signature whose padding is left out.",
        bundled(lambda value: _signature(
            sig=value["dsseEnvelope"]["signatures"][0]["sig"].rstrip("="))(value))),
    "base64-with-more-padding": (
        "A payload with padding that it does not need.",
        bundled(_payload(lambda data: _base64(data) + "===="))),
    "base64-with-newlines": (
        "A payload in lines of 76 characters.",
        bundled(_payload(lambda data: base64.encodebytes(data).decode()))),
    "base64-with-a-space": (
        "A payload with a space in it.",
        bundled(_payload(lambda data: _base64(data)[:8] + " " + _base64(data)[8:]))),
    "base64-of-two-pieces": (
        "A payload of two pieces, each with its own padding.",
        bundled(_payload(lambda data: _base64(data[:1]) + _base64(data[1:])))),
    "base64-of-other-letters": (
        "A payload in letters that only look like the alphabet's.",
        bundled(_payload(lambda data: _base64(data).replace("A", "\u0410", 1)))),
    "base64-hexadecimal": (
        "A signature in hexadecimal, which is base64 of something else.",
        bundled(lambda value: _signature(sig=base64.b64decode(
            value["dsseEnvelope"]["signatures"][0]["sig"]).hex() + "=")(value))),
}  # fmt: skip
for _name, (_about, _data) in BUNDLE_DEFECTS.items():
    enter(_name, lambda about=_about, data=_data: named(about, data))  # type: ignore[misc]


def _spelled(about: str, edit: Edit) -> Vector:
    told = Story().tell()
    return Vector(about, told, told.lines() | {"generation": bundled(edit)}, [told.commit()])


def _without_hint(value: Any) -> None:
    value["verificationMaterial"]["publicKey"] = {}


def _bare(value: Any) -> None:
    del value["verificationMaterial"]["tlogEntries"]
    del value["verificationMaterial"]["timestampVerificationData"]


for _name, _about, _edit in (
    ("valid-bundle-without-a-hint", "No hint: every trusted key is tried.", _without_hint),
    ("valid-bundle-without-empty-members", "Lists of no entries are left out.", _bare),
    ("valid-bundle-with-an-empty-keyid", "An empty keyid says nothing.", _signature(keyid="")),
    (
        "valid-bundle-with-a-keyid-like-the-hint",
        "keyid and hint name the same key.",
        _signature(keyid=key_hint(RECORDER.spki)),
    ),
):
    enter(_name, lambda about=_about, edit=_edit: _spelled(about, edit))  # type: ignore[misc]


def foreign(
    about: str, said: dict[str, Any], *errors: str, key: Key = RECORDER, exit_code: int = 14
) -> Vector:
    """Make a vector of a well signed statement that says it is of another type than it is."""
    value = json.loads(PAYLOAD) | said
    return named(about, seal(canonical.encode(value), key), *errors, exit_code=exit_code)


def _predicate(line: str) -> dict[str, Any]:
    statement: bytes = {
        "plan": TOLD.plan, "open": TOLD.open, "generation": TOLD.generation,
    }[line].payload  # fmt: skip
    value = dict(json.loads(statement))
    return {"predicate": value["predicate"], "subject": value["subject"]}


TOLD = Story().tell()
OURS = "https://agentprov.github.io/"
TYPES: dict[str, tuple[str, dict[str, Any], str, Key]] = {
    "type-plan-for-an-approval": (
        "A plan's body under the type of an approval.",
        _predicate("plan") | {"predicateType": OURS + "approval/v0.1"},
        "statement-malformed", HUMAN),
    "type-plan-for-a-session": (
        "A plan's body under the type of a session.",
        _predicate("plan") | {"predicateType": OURS + "session/v0.1"},
        "statement-malformed", RECORDER),
    "type-generation-for-a-plan": (
        "A generation's body under the type of a plan.",
        {"predicateType": OURS + "plan/v0.1"}, "statement-malformed", HUMAN),
    "type-generation-for-a-session": (
        "A generation's body under the type of a session.",
        {"predicateType": OURS + "session/v0.1"}, "statement-malformed", RECORDER),
    "type-session-for-a-generation": (
        "A session's body under the type of provenance.",
        _predicate("open") | {"predicateType": "https://slsa.dev/provenance/v1"},
        "predicate-unknown", RECORDER),
    "type-session-of-neither-phase": (
        "A session that neither opens nor closes.",
        _predicate("open") | {
            "predicateType": OURS + "session/v0.1",
            "predicate": _predicate("open")["predicate"] | {"phase": "pause"}},
        "statement-malformed", RECORDER),
    "type-provenance-v0-2": (
        "Our body under the type of provenance v0.2.",
        {"predicateType": "https://slsa.dev/provenance/v0.2"}, "predicate-unknown", RECORDER),
    "type-provenance-with-a-slash": (
        "The type with a slash behind it.",
        {"predicateType": "https://slsa.dev/provenance/v1/"}, "predicate-unknown", RECORDER),
    "type-provenance-in-capitals": (
        "The type in another case.",
        {"predicateType": "https://SLSA.dev/provenance/v1"}, "predicate-unknown", RECORDER),
    "type-provenance-without-tls": (
        "The type as http instead of https.",
        {"predicateType": "http://slsa.dev/provenance/v1"}, "predicate-unknown", RECORDER),
    "type-link": (
        "The type of an in-toto link.",
        {"predicateType": "https://in-toto.io/attestation/link/v0.3"},
        "predicate-unknown", RECORDER),
    "type-summary": (
        "The type of a verification summary: somebody's verdict, not a record.",
        {"predicateType": "https://slsa.dev/verification_summary/v1"},
        "predicate-unknown", RECORDER),
    "type-plan-of-a-later-version": (
        "A plan of a version that is not known here.",
        _predicate("plan") | {"predicateType": OURS + "plan/v0.2"}, "predicate-unknown", HUMAN),
    "type-missing": (
        "A statement whose predicate has no type.", {"predicateType": ""},
        "statement-malformed", RECORDER),
    "type-statement-v0-1": (
        "A statement of version 0.1.", {"_type": "https://in-toto.io/Statement/v0.1"},
        "statement-malformed", RECORDER),
    "type-link-without-a-statement": (
        "The old form of a link, which is no statement.",
        {"_type": "link", "name": "x", "materials": {}}, "statement-malformed", RECORDER),
    "type-build-of-somebody-else": (
        "Provenance of another build type.",
        {"predicate": json.loads(PAYLOAD)["predicate"] | {
            "buildDefinition": json.loads(PAYLOAD)["predicate"]["buildDefinition"] | {
                "buildType": "https://example.com/build/v1"}}},
        "predicate-unknown", RECORDER),
    "subject-list-empty": (
        "A statement about nothing.", {"subject": []}, "statement-malformed", RECORDER),
    "predicate-empty": (
        "A statement that says nothing.", {"predicate": {}}, "statement-malformed", RECORDER),
}  # fmt: skip
for _name, (_about, _said, _code, _key) in TYPES.items():
    enter(
        _name,
        lambda about=_about, said=_said, code=_code, key=_key: foreign(about, said, code, key=key),  # type: ignore[misc]
    )

for _name, _about, _type in (
    ("payload-type-in-capitals", "The payload type in another case.",
     "application/vnd.in-toto+JSON"),
    ("payload-type-with-a-parameter", "The payload type with a character set.",
     "application/vnd.in-toto+json; charset=utf-8"),
    ("payload-type-plain-json", "The payload is said to be JSON of any kind.", "application/json"),
    ("payload-type-with-a-space", "The payload type with a space behind it.",
     "application/vnd.in-toto+json "),
):  # fmt: skip
    enter(
        _name,
        lambda about=_about, type_=_type: named(  # type: ignore[misc]
            about, seal(PAYLOAD, RECORDER, payload_type=type_), "payload-type"
        ),
    )

__all__ = ["MISSING", "accepted", "changed", "enter", "named", "relisted", "signed"]
