"""The cases of tests/vectors about the files that decide: trust and policy, as people write them.

Imported for what it enters into `defects.CASES`. Records and commit are the good story's; the
document is given as its bytes, and must be refused before anything is judged unless it is valid.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agentprov.verify.trust import SCHEMA
from support.defects import Vector, failing
from support.json_defects import enter
from support.story import HUMAN, RECORDER, Story


def _text(spki: bytes) -> str:
    return base64.b64encode(spki).decode()


P384 = _text(
    ec.derive_private_key(7, ec.SECP384R1())
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
HEAD = f"schema: {SCHEMA}\n"
ADA = f"""\
- publicKey: {_text(HUMAN.spki)}
  person: mailto:ada@example.com
  roles: [human]
"""
MACHINE = f"""\
- publicKey: {_text(RECORDER.spki)}
  person: recorder of ada@example.com
  roles: [recorder]
  builders: [{next(iter(RECORDER.builders))}]
"""
KEYS = "keys:\n" + ADA + MACHINE
IDENTITY = """\
identities:
- issuer: https://id.example.com
  identity: jane@example.com
  person: mailto:jane@example.com
  roles: [reviewer]
"""


TRUST: Mapping[str, tuple[str, str | bytes]] = {
    "trust-empty-file": ("An empty file.", ""),
    "trust-without-a-schema": ("It does not say what it is.", KEYS),
    "trust-of-a-later-version": (
        "It says that it is of a version that is not known here.",
        HEAD.replace("/1", "/9") + KEYS),
    "trust-list": ("A list in the document's place.", ADA),
    "trust-with-keys-twice": (
        "keys stands there twice; parsers would disagree on which counts.",
        HEAD + KEYS + "keys:\n" + MACHINE),
    "trust-with-roles-twice": (
        "A key's roles stand there twice.",
        HEAD + KEYS + "  roles: [human]\n"),
    "trust-misspelled-member": (
        "revoked, a word that means nothing here.", HEAD + KEYS + "  revoked: true\n"),
    "trust-misspelled-role": (
        "A role that does not exist.", HEAD + KEYS.replace("[human]", "[humans]")),
    "trust-role-as-text": (
        "A role where a list of roles must stand.", HEAD + KEYS.replace("[human]", "human")),
    "trust-without-roles": ("A key for nothing.", HEAD + KEYS.replace("[human]", "[]")),
    "trust-same-key-twice": (
        "One key for two people.",
        HEAD + KEYS + ADA.replace("ada@example", "eve@example")),
    "trust-key-of-another-curve": (
        "A key on a curve that is not verified here.",
        HEAD + KEYS.replace(_text(HUMAN.spki), P384)),
    "trust-key-cut-off": (
        "A key that lacks its last bytes.",
        HEAD + KEYS.replace(_text(HUMAN.spki), _text(HUMAN.spki[:-3]))),
    "trust-key-with-bytes-behind": (
        "A key with bytes behind it.",
        HEAD + KEYS.replace(_text(HUMAN.spki), _text(HUMAN.spki + b"\0\0\0"))),
    "trust-key-as-pem": (
        "A key as PEM.", HEAD + KEYS.replace(
            _text(HUMAN.spki), f'"-----BEGIN PUBLIC KEY-----{_text(HUMAN.spki)}"')),
    "trust-key-that-is-binary": (
        "A key by a tag that makes it bytes.",
        HEAD + KEYS.replace("publicKey: ", "publicKey: !!binary ", 1)),
    "trust-tag-that-makes-an-object": (
        "A tag that some loaders run a program for.",
        HEAD + KEYS + "  comment: !!python/object/apply:os.system ['true']\n"),
    "trust-alias": (
        "An anchor and its alias.",
        HEAD + KEYS.replace("[human]", "&r [human]").replace("[recorder]", "*r")),
    "trust-merge-key": (
        "A merge key.", HEAD + KEYS + "  <<: {roles: [human]}\n"),
    "trust-two-documents": ("Two documents in one file.", HEAD + KEYS + "---\n" + HEAD + KEYS),
    "trust-not-utf-8": ("A byte that UTF-8 does not have.", (HEAD + KEYS).encode() + b"# \xff\n"),
    "trust-control-character": ("A NUL in a comment.", (HEAD + KEYS).encode() + b"# \0\n"),
    "trust-too-deep": (
        "Lists 100 deep.", HEAD + KEYS + "  comment: " + "[" * 100 + "]" * 100 + "\n"),
    "trust-validity-backwards": (
        "A validity that ends before it begins.",
        HEAD + KEYS + "  validity: {notBefore: '2026-12-01T00:00:00Z', "
        "notAfter: '2026-11-01T00:00:00Z'}\n"),
    "trust-validity-without-a-zone": (
        "A time that does not say in which zone.",
        HEAD + KEYS + "  validity: {notAfter: '2026-12-01 00:00:00'}\n"),
    "trust-compromised-without-a-time": (
        "A key that is not believed, without saying since when.",
        HEAD + KEYS + "  compromised: {reason: stolen}\n"),
    "trust-custody-unknown": (
        "A way of keeping a key that does not exist.", HEAD + KEYS + "  custody: safe\n"),
    "trust-person-as-a-number": (
        "A person that is a number.",
        HEAD + KEYS.replace("mailto:ada@example.com", "12345")),
    "trust-identity-without-a-root": (
        "An identity, and no instance that could certify it.", HEAD + KEYS + IDENTITY),
    "trust-root-that-is-not-there": (
        "A Sigstore root whose file is not beside it.",
        HEAD + KEYS + "sigstore:\n- name: ours\n  trustedRoot: root.json\n  digest: {sha256: '"
        + "0" * 64 + "'}\n"),
    "trust-root-out-of-its-folder": (
        "A Sigstore root that climbs out of the folder.",
        HEAD + KEYS + "sigstore:\n- name: ours\n  trustedRoot: ../root.json\n  digest: {sha256: '"
        + "0" * 64 + "'}\n"),
}  # fmt: skip

RULES = "version: 1\nmode: enforce\nrequire:\n  coverage: [covered]\n"
POLICY: Mapping[str, tuple[str, str | bytes]] = {
    "policy-empty-file": ("An empty file.", ""),
    "policy-without-a-version": ("It does not say of which version it is.", RULES[11:]),
    "policy-version-as-text": ("The version is text.", RULES.replace("1", '"1"', 1)),
    "policy-version-as-true": (
        "The version is true, which some languages count as 1.", RULES.replace("1", "true", 1)),
    "policy-of-a-later-version": ("A version that is not known here.", RULES.replace("1", "9", 1)),
    "policy-without-a-mode": (
        "It does not say whether it enforces.", RULES.replace("mode: enforce\n", "")),
    "policy-misspelled-mode": ("A mode that does not exist.", RULES.replace("enforce", "enforced")),
    "policy-mode-in-capitals": ("The mode in capitals.", RULES.replace("enforce", "ENFORCE")),
    "policy-misspelled-require": (
        "requires: what is misspelled must not be what is not asked for.",
        RULES.replace("require:", "requires:")),
    "policy-misspelled-member": (
        "covrage, below require.", RULES.replace("coverage", "covrage")),
    "policy-require-empty": (
        "require with nothing below it.", "version: 1\nmode: enforce\nrequire:\n"),
    "policy-coverage-empty": ("A list of nothing.", RULES.replace("[covered]", "[]")),
    "policy-coverage-as-text": ("A word where a list must stand.",
        RULES.replace("[covered]", "covered")),
    "policy-coverage-uncovered": (
        "It asks for commits without a record.", RULES.replace("[covered]", "[uncovered]")),
    "policy-plan-as-no": (
        "no, which YAML takes for false.", RULES + "  plan: no\n"),
    "policy-no-people": ("Nobody must approve.", RULES + "  approvals: {people: 0}\n"),
    "policy-people-as-text": ("A number as text.", RULES + "  approvals: {people: '2'}\n"),
    "policy-people-as-true": ("true people.", RULES + "  approvals: {people: true}\n"),
    "policy-people-as-a-fraction": (
        "Two people and a half.", RULES + "  approvals: {people: 2.5}\n"),
    "policy-author-as-text": (
        "\"yes\" where true or false must stand.",
        RULES + "  approvals: {people: 1, notPlanAuthor: 'yes'}\n"),
    "policy-key-twice": (
        "The mode stands there twice; parsers would disagree on which counts.",
        RULES + "mode: observe\n"),
    "policy-key-twice-by-quotes": (
        "The mode stands there twice, once in quotes.", RULES + '"mode": observe\n'),
    "policy-alias": (
        "An anchor and its alias.",
        RULES.replace("[covered]", "&c [covered]") + "  trustedTime: *c\n"),
    "policy-aliases-that-grow": (
        "Aliases that stand for thousands of others.",
        "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n" + RULES),
    "policy-tag": (
        "A tag that some loaders run a program for.",
        RULES.replace("enforce", "!!python/object/apply:os.system ['true']")),
    "policy-two-documents": (
        "A second document that only observes.", RULES + "---\nversion: 1\nmode: observe\n"),
    "policy-not-utf-8": ("A byte that UTF-8 does not have.", RULES.encode() + b"# \xff\n"),
    "policy-tab": ("A tab for spaces.", RULES.replace("  coverage", "\tcoverage")),
    "policy-json-cut-off": ("JSON without its end.", '{"version": 1, "mode": "enforce"'),
}  # fmt: skip


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _refused(about: str, file: str, content: bytes) -> Vector:
    told = Story().tell()
    made = failing(about, told, told.lines(), told.commit(), 16, refused=file)
    return _with(made, file, content)


def _with(made: Vector, file: str, content: bytes) -> Vector:
    made.documents = {file: content}
    return made


for _file, _cases in (("trust.yaml", TRUST), ("policy.yaml", POLICY)):
    for _name, (_about, _content) in _cases.items():
        enter(
            _name,
            lambda a=_about, f=_file, c=_content: _refused(a, f, _bytes(c)),  # type: ignore[misc]
        )


def _read(about: str, file: str, text: str, *errors: str) -> Vector:
    told = Story().tell()
    made = Vector(about, told, told.lines(), [told.commit()], errors, 13 if errors else 0)
    return _with(made, file, text.encode())


READ: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
    "valid-trust-as-people-write-it": (
        "Trust in YAML, with comments.", "trust.yaml", "# ours\n" + HEAD + KEYS, ()),
    "valid-trust-as-json": (
        "JSON is YAML too.", "trust.yaml",
        json.dumps(yaml.safe_load(HEAD + KEYS)) + "\n", ()),
    "valid-policy-as-people-write-it": (
        "A policy that the story satisfies.", "policy.yaml",
        "# ours\n" + RULES + "  plan: signed\n", ()),
    "policy-wants-approvals": (
        "Nobody approved, and one person must.", "policy.yaml",
        RULES + "  approvals: {people: 1}\n", ("policy-approvals",)),
}  # fmt: skip
for _name, (_about, _file, _words, _errors) in READ.items():
    enter(
        _name,
        lambda a=_about, f=_file, t=_words, e=_errors: _read(a, f, t, *e),  # type: ignore[misc]
    )

__all__ = ["POLICY", "READ", "TRUST"]
