"""Whose certificate counts, and that each part of its evidence is needed."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from agentprov.errors import EvidenceInvalid
from agentprov.formats import bundle as bundles
from agentprov.formats.evidence import CertifiedIdentity, SigstoreRoot
from agentprov.sign import sigstore_verifier
from agentprov.sign.evidence import OfflineEvidence
from support import bent_bundles
from support.bent_bundles import Bend, Bundle
from support.loopback_sigstore import WORKFLOW, LoopbackSigstore, der
from support.loopback_sigstore.fulcio import ISSUER_V1, USERNAME
from support.loopback_sigstore.instance import Version

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


@pytest.fixture(scope="module")
def sigstore() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore() as instance:
        yield instance


@pytest.fixture
def fresh() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore() as instance:
        yield instance


def root_of(sigstore: LoopbackSigstore, name: str = "ours", **changes: Any) -> SigstoreRoot:
    data = json.dumps(sigstore.trusted_root() | changes).encode()
    return SigstoreRoot(name, data, hashlib.sha256(data).hexdigest())


def line(bundle: Bundle) -> bytes:
    return json.dumps(bundle).encode()


def identify(bundle: Bundle, *roots: SigstoreRoot) -> CertifiedIdentity:
    return OfflineEvidence().identify(line(bundle), roots)


def refusal(bundle: Bundle, *roots: SigstoreRoot) -> str:
    with pytest.raises(EvidenceInvalid) as caught:
        identify(bundle, *roots)
    return caught.value.code


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_good_bundle_says_who_signed_by_whose_word_and_when(
    sigstore: LoopbackSigstore, rekor: Version
) -> None:
    said = identify(sigstore.sign(PAYLOAD, rekor=rekor), root_of(sigstore))
    assert (said.identity, said.issuer, said.root) == (
        "jane@example.com",
        sigstore.oidc.url,
        "ours",
    )
    names = [time.authority for time in said.times]
    assert names.count("ours timestamps") == 1
    assert names.count("ours log") == (1 if rekor == 1 else 0)
    assert all(abs(time.at - datetime.now(UTC)) < timedelta(minutes=1) for time in said.times)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("jane@example.com", "jane@example.com"),
        (WORKFLOW, WORKFLOW),
        ("jane!example.com", "jane!example.com"),
        ("j\u0430ne!example.com", "j\u0430ne!example.com"),
        ("n" * 300, "n" * 300),
    ],
)
def test_the_identity_is_given_as_it_stands_in_the_certificate(
    sigstore: LoopbackSigstore, name: str, identity: str
) -> None:
    assert identify(sigstore.sign(PAYLOAD, name), root_of(sigstore)).identity == identity


@pytest.mark.parametrize(
    ("rekor", "bend", "code"),
    bent_bundles.BENDS,
    ids=[f"v{rekor}-{bend.__name__}" for rekor, bend, _ in bent_bundles.BENDS],
)
def test_each_part_of_the_evidence_is_needed(
    sigstore: LoopbackSigstore, rekor: Version, bend: Bend, code: str
) -> None:
    good = sigstore.sign(PAYLOAD, rekor=rekor)
    bent = copy.deepcopy(good)
    bend(bent)
    assert refusal(bent, root_of(sigstore)) == code
    assert identify(good, root_of(sigstore)).identity == "jane@example.com"


def test_a_log_entry_about_another_signature_is_told(sigstore: LoopbackSigstore) -> None:
    for rekor in (1, 2):
        one = sigstore.sign(PAYLOAD, rekor=rekor)  # type: ignore[arg-type]
        other = sigstore.sign(PAYLOAD, rekor=rekor)  # type: ignore[arg-type]
        bent_bundles.material(one)["tlogEntries"] = bent_bundles.material(other)["tlogEntries"]
        assert refusal(one, root_of(sigstore)) == "log-entry-differs"


def test_an_entry_of_the_same_signature_by_another_certificate_is_told(
    sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.setattr(ec, "generate_private_key", lambda _: key)
    first = sigstore.sign(PAYLOAD)
    second = sigstore.sign(PAYLOAD)
    bent_bundles.material(first)["certificate"] = bent_bundles.material(second)["certificate"]
    assert refusal(first, root_of(sigstore)) == "log-entry-differs"


def test_another_instance_vouches_for_nothing(
    sigstore: LoopbackSigstore, fresh: LoopbackSigstore
) -> None:
    assert refusal(fresh.sign(PAYLOAD), root_of(sigstore)) == "certificate-unknown"
    assert refusal(sigstore.sign(PAYLOAD)) == "certificate-unknown"
    both = [root_of(sigstore), root_of(fresh, "theirs")]
    assert identify(fresh.sign(PAYLOAD), *both).root == "theirs"


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_entry_of_a_foreign_log_counts_nothing(
    sigstore: LoopbackSigstore, fresh: LoopbackSigstore, rekor: Version
) -> None:
    ours = root_of(sigstore)
    name = "rekor1" if rekor == 1 else "rekor2"
    kept = getattr(sigstore, name)
    setattr(sigstore, name, getattr(fresh, name))
    try:
        mixed = sigstore.sign(PAYLOAD, rekor=rekor)
    finally:
        setattr(sigstore, name, kept)
    assert refusal(mixed, ours) == "log-entry-invalid"


@pytest.mark.parametrize("sct", ["foreign", "flipped", "missing"])
def test_a_certificate_that_no_log_promised_is_told(fresh: LoopbackSigstore, sct: Any) -> None:
    fresh.fulcio.sct = sct
    assert refusal(fresh.sign(PAYLOAD), root_of(fresh)) == "certificate-unlogged"


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("foreign", "timestamp-invalid"),
        ("other-message", "timestamp-differs"),
        ("flipped", "timestamp-invalid"),
        ("refuses", "timestamp-invalid"),
    ],
)
def test_a_timestamp_of_nobody_or_over_something_else_is_told(
    fresh: LoopbackSigstore, defect: Any, code: str
) -> None:
    fresh.tsa.defect = defect
    for rekor in (1, 2):
        signed = fresh.sign(PAYLOAD, rekor=rekor)  # type: ignore[arg-type]
        assert refusal(signed, root_of(fresh)) == code


@pytest.mark.parametrize(
    ("minutes", "code"),
    [(-1, "certificate-expired"), (0, None), (5, None), (9, None), (11, "certificate-expired")],
)
def test_a_certificate_holds_only_inside_its_window(
    fresh: LoopbackSigstore, minutes: int, code: str | None
) -> None:
    fresh.weather.shifts["tsa"] = fresh.weather.shifts["rekor1"] = timedelta(minutes=minutes)
    for signed in (fresh.sign(PAYLOAD), fresh.sign(PAYLOAD, rekor=1, timestamp=False)):
        if code is None:
            assert identify(signed, root_of(fresh)).times
        else:
            assert refusal(signed, root_of(fresh)) == code


def test_two_times_must_both_lie_in_the_window(fresh: LoopbackSigstore) -> None:
    fresh.weather.shifts["tsa"] = timedelta(minutes=11)
    assert refusal(fresh.sign(PAYLOAD, rekor=1), root_of(fresh)) == "certificate-expired"


def test_a_certificate_that_expired_since_still_speaks_for_its_time(
    fresh: LoopbackSigstore,
) -> None:
    fresh.weather.shift = timedelta(days=-400)
    for rekor in (1, 2):
        said = identify(fresh.sign(PAYLOAD, rekor=rekor), root_of(fresh))  # type: ignore[arg-type]
        assert all(time.at < datetime.now(UTC) - timedelta(days=399) for time in said.times)


@pytest.mark.parametrize(
    ("authority", "when", "code"),
    [
        ("certificateAuthorities", "after", "authority-expired"),
        ("timestampAuthorities", "after", "authority-expired"),
        ("ctlogs", "after", "authority-expired"),
        ("timestampAuthorities", "before", "authority-expired"),
        # sigstore-python leaves these out, and misses them then.
        ("certificateAuthorities", "before", "sigstore-root-invalid"),
        ("ctlogs", "before", "sigstore-root-invalid"),
    ],
)
def test_an_authority_out_of_service_vouches_for_nothing(
    sigstore: LoopbackSigstore, authority: str, when: str, code: str
) -> None:
    document = sigstore.trusted_root()
    window = (
        {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
        if when == "after"
        else {"start": "2120-01-01T00:00:00Z"}
    )
    item = document[authority][0]
    (item["publicKey"] if authority == "ctlogs" else item)["validFor"] = window
    assert refusal(sigstore.sign(PAYLOAD), root_of(sigstore, **document)) == code


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_log_that_was_replaced_vouches_for_nothing_after_that(
    sigstore: LoopbackSigstore, rekor: Version
) -> None:
    document = sigstore.trusted_root()
    window = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
    document["tlogs"][rekor - 1]["publicKey"]["validFor"] = window
    code = refusal(sigstore.sign(PAYLOAD, rekor=rekor), root_of(sigstore, **document))
    assert code == "authority-expired"


def test_a_log_under_another_id_is_not_the_one_that_is_trusted(
    sigstore: LoopbackSigstore,
) -> None:
    document = sigstore.trusted_root()
    document["tlogs"][1]["logId"]["keyId"] = base64.b64encode(bytes(32)).decode()
    code = refusal(sigstore.sign(PAYLOAD), root_of(sigstore, **document))
    assert code == "log-entry-invalid"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"{" * 10_000, b'{"mediaType":"x"}', b"\xff"])
def test_a_root_that_is_none_fails_closed(sigstore: LoopbackSigstore, data: bytes) -> None:
    root = SigstoreRoot("ours", data, hashlib.sha256(data).hexdigest())
    assert refusal(sigstore.sign(PAYLOAD), root) == "sigstore-root-invalid"


def test_a_certificate_must_name_exactly_one_and_by_whose_word(fresh: LoopbackSigstore) -> None:
    def with_names(*names: x509.GeneralName, issuer: str = "https://i.example") -> str:
        sign, value = fresh.fulcio.certify, x509.SubjectAlternativeName(names)

        def certify(key: Any, _: x509.GeneralName, __: str) -> x509.Certificate:
            made = sign(key, names[0], issuer)
            builder = x509.CertificateBuilder(
                made.issuer, made.subject, key, made.serial_number,
                made.not_valid_before_utc, made.not_valid_after_utc,
                [
                    x509.Extension(value.oid, True, value)
                    if isinstance(item.value, x509.SubjectAlternativeName)
                    else item
                    for item in made.extensions
                ],
            )  # fmt: skip
            return builder.sign(fresh.fulcio.intermediate.key, hashes.SHA256())

        fresh.fulcio.certify = certify  # type: ignore[method-assign]
        try:
            return refusal(fresh.sign(PAYLOAD), root_of(fresh))
        finally:
            fresh.fulcio.certify = sign  # type: ignore[method-assign]

    jane, eve = x509.RFC822Name("jane@example.com"), x509.RFC822Name("eve@example.com")
    assert with_names(jane, eve) == "certificate-unfit"
    assert with_names(x509.DNSName("example.com")) == "certificate-unfit"
    assert with_names(x509.OtherName(USERNAME, der.octets(b"jane"))) == "certificate-unfit"
    assert with_names(x509.OtherName(USERNAME, der.tlv(der.UTF8, b"\xff"))) == "certificate-unfit"


def test_two_words_about_the_issuer_are_none(
    fresh: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = x509.UnrecognizedExtension

    def lying(oid: x509.ObjectIdentifier, value: bytes) -> x509.UnrecognizedExtension:
        return plain(oid, b"https://accounts.example.com" if oid == ISSUER_V1 else value)

    from support.loopback_sigstore import fulcio

    monkeypatch.setattr(fulcio.x509, "UnrecognizedExtension", lying)
    signed = fresh.sign(PAYLOAD)
    monkeypatch.undo()
    assert refusal(signed, root_of(fresh)) == "certificate-unfit"


def test_verdicts_are_remembered_and_only_for_the_same_bytes_and_roots(
    fresh: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    real = sigstore_verifier._identify

    def counting(data: bytes, roots: Any) -> CertifiedIdentity:
        asked.append(data)
        return real(data, roots)

    monkeypatch.setattr(sigstore_verifier, "_identify", counting)
    good, root = fresh.sign(PAYLOAD), root_of(fresh)
    bad = copy.deepcopy(good)
    bent_bundles.flip_hash(bad)
    for _ in range(3):
        assert identify(good, root).root == "ours"
        assert refusal(bad, root) == "log-entry-invalid"
    assert len(asked) == 2
    assert identify(good, root_of(fresh, "another name")).root == "another name"
    assert refusal(good) == "certificate-unknown"
    assert len(asked) == 4


def test_the_check_touches_neither_network_nor_files_nor_a_home(
    sigstore: LoopbackSigstore, tmp_path: Path
) -> None:
    (tmp_path / "bundle").write_bytes(line(sigstore.sign(PAYLOAD)))
    (tmp_path / "root").write_bytes(root_of(sigstore).data)
    program = """
import sys, pathlib
data, root = (pathlib.Path(name).read_bytes() for name in sys.argv[1:])
from agentprov.formats.evidence import SigstoreRoot
from agentprov.sign.evidence import OfflineEvidence
assert not any(name.startswith("sigstore") for name in sys.modules)
import sigstore.verify, sigstore.models, rfc3161_client
touched = []
def watch(event, arguments):
    if event.startswith("socket.") or event in ("os.mkdir", "os.rename", "os.remove"):
        touched.append((event, arguments))
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc", ".so")):
        touched.append((event, arguments))
sys.addaudithook(watch)
said = OfflineEvidence().identify(data, [SigstoreRoot("ours", root, "0" * 64)])
print(said.identity, touched)
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, tmp_path / "bundle", tmp_path / "root"],
        env={"PATH": "/nonexistent", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("jane@example.com []\n", "")


def test_our_bundles_keep_their_bytes_through_our_writer(sigstore: LoopbackSigstore) -> None:
    for rekor in (1, 2):
        signed = sigstore.sign(PAYLOAD, rekor=rekor)  # type: ignore[arg-type]
        written = bundles.encode(bundles.parse(line(signed)))
        assert json.loads(written) == signed
        assert identify(json.loads(written), root_of(sigstore)).identity == "jane@example.com"
