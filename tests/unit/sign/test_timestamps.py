"""Timestamps made by openssl, checked offline: what each defect is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from agentprov.errors import EvidenceInvalid, UserError
from agentprov.formats.bundle import Bundle
from agentprov.formats.evidence import Evidence, TimestampAuthority
from agentprov.sign import timestamps
from agentprov.sign.evidence import OfflineEvidence
from support.openssl_tsa import OpensslTsa

SIGNATURE = b"\x30\x44 these are the bytes of a signature"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> OpensslTsa:
    return OpensslTsa(tmp_path_factory.mktemp("tsa") / "a")


def carrying(*stamps: bytes, signature: bytes = SIGNATURE) -> Bundle:
    return Bundle(b"{}", signature, "hint", evidence=Evidence(timestamps=stamps))


def refused(bundle: Bundle, *authorities: TimestampAuthority) -> str:
    with pytest.raises(EvidenceInvalid) as caught:
        timestamps.times(bundle, authorities)
    return caught.value.code


@pytest.mark.parametrize("options", [("-sha256", "-cert"), ("-sha512",), ("-sha384", "-no_nonce")])
def test_a_good_timestamp_gives_the_time_and_who_says_so(
    tsa: OpensslTsa, options: tuple[str, ...]
) -> None:
    stamp = tsa.stamp(SIGNATURE, *options)
    (found,) = OfflineEvidence().times(carrying(stamp), [tsa.authority])
    assert found.authority == "stamps"
    assert found.at.tzinfo is not None
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_timestamp_of_another_signature_is_told_apart(tsa: OpensslTsa) -> None:
    stamp = tsa.stamp(b"another signature")
    assert refused(carrying(stamp), tsa.authority) == "timestamp-differs"
    assert refused(carrying(tsa.stamp(SIGNATURE), stamp), tsa.authority) == "timestamp-differs"


def test_no_bit_of_the_signed_part_can_be_changed(tsa: OpensslTsa) -> None:
    stamp = tsa.stamp(SIGNATURE, "-sha256")
    (good,) = timestamps.times(carrying(stamp), [tsa.authority])
    for at in range(len(stamp)):
        forged = bytearray(stamp)
        forged[at] ^= 0x01
        try:
            found = timestamps.times(carrying(bytes(forged)), [tsa.authority])
        except EvidenceInvalid:
            continue
        # What is left aside proves nothing; what counts says the same as before.
        assert found in ([], [good])


def test_a_signature_that_was_flipped_is_invalid(tsa: OpensslTsa) -> None:
    stamp = bytearray(tsa.stamp(SIGNATURE, "-sha256"))
    stamp[-1] ^= 1
    assert refused(carrying(bytes(stamp)), tsa.authority) == "timestamp-invalid"


def test_bytes_that_are_no_timestamp_are_invalid(tsa: OpensslTsa) -> None:
    for junk in (b"", b"junk", tsa.stamp(SIGNATURE)[:-1], tsa.stamp(SIGNATURE) + b"\x00"):
        assert refused(carrying(junk), tsa.authority) == "timestamp-invalid"


def test_a_foreign_authority_is_left_out_and_one_by_its_name_too(
    tsa: OpensslTsa, tmp_path: Path
) -> None:
    other = OpensslTsa(tmp_path / "other", name="others")
    double = OpensslTsa(tmp_path / "double")
    assert timestamps.times(carrying(other.stamp(SIGNATURE)), [tsa.authority]) == []
    assert timestamps.times(carrying(double.stamp(SIGNATURE)), [tsa.authority]) == []
    both = carrying(other.stamp(SIGNATURE), tsa.stamp(SIGNATURE))
    assert [item.authority for item in timestamps.times(both, [tsa.authority])] == ["stamps"]
    found = timestamps.times(both, [tsa.authority, other.authority])
    assert {item.authority for item in found} == {"stamps", "others"}
    assert found == sorted(found, key=lambda item: item.at)


@pytest.mark.parametrize(
    "window",
    [
        (NOW - timedelta(days=10), NOW - timedelta(days=2)),
        (NOW + timedelta(days=2), NOW + timedelta(days=10)),
    ],
)
def test_a_time_outside_the_certificates_window_is_no_proof(
    tmp_path: Path, window: tuple[datetime, datetime]
) -> None:
    expired = OpensslTsa(tmp_path / "tsa", not_before=window[0], not_after=window[1])
    stamp = expired.stamp(SIGNATURE)
    assert refused(carrying(stamp), expired.authority) == "timestamp-outside-validity"


def test_an_authority_whose_certificate_is_not_for_timestamps_is_refused(tmp_path: Path) -> None:
    for number, (usages, critical) in enumerate(
        [
            ((ExtendedKeyUsageOID.CODE_SIGNING,), True),
            ((ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING), True),
            ((ExtendedKeyUsageOID.TIME_STAMPING,), False),
            ((), True),
        ]
    ):
        unfit = OpensslTsa(tmp_path / str(number), usages=usages, critical=critical)
        # openssl itself will not stamp with such a certificate; any stamp will do here.
        stamp = OpensslTsa(tmp_path / f"{number}-fit").stamp(SIGNATURE)
        assert refused(carrying(stamp), unfit.authority) == "timestamp-authority-invalid"


def test_a_chain_that_is_no_chain_is_refused(tsa: OpensslTsa) -> None:
    stamp = tsa.stamp(SIGNATURE)
    leaf, root = (part + b"-----END CERTIFICATE-----\n" for part in tsa.chain.split(
        b"-----END CERTIFICATE-----\n")[:2])  # fmt: skip
    for chain in (b"", b"junk", leaf, root, root + leaf):
        authority = TimestampAuthority("stamps", chain)
        assert refused(carrying(stamp), authority) == "timestamp-authority-invalid"


def test_another_root_over_the_same_leaf_is_no_proof(tsa: OpensslTsa, tmp_path: Path) -> None:
    leaf = tsa.chain.split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n"
    other = OpensslTsa(tmp_path / "other")
    root = other.chain[other.chain.index(b"-----END") :].split(b"\n", 1)[1]
    authority = TimestampAuthority("stamps", leaf + root)
    assert refused(carrying(tsa.stamp(SIGNATURE)), authority) == "timestamp-invalid"


def test_a_request_carries_a_digest_and_a_number_and_is_answered(tsa: OpensslTsa) -> None:
    sent: list[bytes] = []

    def post(body: bytes) -> bytes:
        sent.append(body)
        return tsa.answer(body)

    stamp = timestamps.request(SIGNATURE, post)
    assert timestamps.times(carrying(stamp), [tsa.authority])
    assert SIGNATURE[3:] not in sent[0]
    assert len(sent[0]) < 100
    timestamps.request(SIGNATURE, post)
    assert sent[0] != sent[1]


def test_an_answer_to_another_request_is_refused(tsa: OpensslTsa) -> None:
    with pytest.raises(UserError, match="nonce"):
        timestamps.request(SIGNATURE, lambda _: tsa.stamp(SIGNATURE))
    with pytest.raises(UserError, match="another signature"):
        timestamps.request(SIGNATURE, lambda _: tsa.stamp(b"other"))
    with pytest.raises(UserError, match="malformed"):
        timestamps.request(SIGNATURE, lambda _: b"")


def test_a_refusal_is_reported_as_one(tsa: OpensslTsa) -> None:
    # A status of 2 (rejection) and no token, as RFC 3161 writes it.
    with pytest.raises(UserError, match="refused to stamp"):
        timestamps.request(SIGNATURE, lambda _: bytes.fromhex("30053003020102"))
