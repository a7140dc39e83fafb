"""The session's authority: good for the named hosts, for nothing else, and its key is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from agentprov.errors import MalformedInput
from agentprov.record.gateway import orders as orders_format
from agentprov.record.gateway.authority import make_authority
from agentprov.record.gateway.door import Route
from agentprov.record.gateway.orders import Orders
from agentprov.record.gateway.server import leaf_context

NOW = datetime.now(UTC)


def _verify(name: str, authority_pem: str, leaf_pem: str) -> None:
    store = verification.Store(x509.load_pem_x509_certificates(authority_pem.encode()))
    builder = verification.PolicyBuilder().store(store).time(NOW)
    builder.build_server_verifier(x509.DNSName(name)).verify(
        x509.load_pem_x509_certificates(leaf_pem.encode())[0], []
    )


def test_the_leaf_is_good_for_the_named_hosts_only() -> None:
    made = make_authority(["api.model.example", "127.0.0.1"], NOW)
    _verify("api.model.example", made.certificate, made.leaf)
    with pytest.raises(verification.VerificationError):
        _verify("other.example", made.certificate, made.leaf)


def test_the_authority_is_limited_to_its_hosts_and_its_key_is_nowhere() -> None:
    made = make_authority(["api.model.example"], NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate.encode())
    limits = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert limits.value.permitted_subtrees == [x509.DNSName("api.model.example")]
    assert "PRIVATE" not in made.certificate
    assert made.leaf.count("PRIVATE KEY-----") == 2
    leaf_key = x509.load_pem_x509_certificates(made.leaf.encode())[0].public_key()
    assert leaf_key != certificate.public_key()


def test_the_leaf_is_loaded_without_staying_on_disk(tmp_path: Path) -> None:
    context = leaf_context(make_authority(["a.example"], NOW).leaf, tmp_path)
    assert context.cert_store_stats()["x509"] == 0
    assert list(tmp_path.iterdir()) == []


def test_orders_survive_the_pipe_and_do_not_show_secrets() -> None:
    given = Orders(
        3, 9, "/spool", "/scratch", "c0ffee", 7, {"t0ken": Route("h", 1, True)}, "pa55", {}, "l3af"
    )
    assert orders_format.decode(orders_format.encode(given)) == given
    for secret in ("c0ffee", "t0ken", "pa55", "l3af"):
        assert secret not in repr(given)
    with pytest.raises(MalformedInput):
        orders_format.decode(b"{}\n")
