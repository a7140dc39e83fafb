"""The certificate authority of one session: signs one leaf and is forgotten.

An agent in proxy mode is told to trust it. So its key never leaves the function that makes it,
it may sign for the named hosts only, and its certificate is not installed anywhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_DAYS = 30


@dataclass(frozen=True)
class Authority:
    """`certificate` is what the agent has to trust; `leaf` the PEM chain and key for the relay."""

    certificate: str
    leaf: str = field(repr=False)


def make_authority(hosts: Iterable[str], now: datetime) -> Authority:
    """Make an authority and its one leaf for these hosts (names or addresses).

    Valid from an hour ago for 30 days. ECDSA P-256; the leaf's key is in `leaf`, the
    authority's is gone when this returns.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    names: list[x509.GeneralName] = []
    allowed: list[x509.GeneralName] = []
    for host in sorted(set(hosts)):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            names.append(x509.DNSName(host))
            allowed.append(x509.DNSName(host))
        else:
            names.append(x509.IPAddress(address))
            allowed.append(x509.IPAddress(ipaddress.ip_network(address)))
    own_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    own_name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "agentprov gateway, this session only")]
    )
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agentprov gateway")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(own_key.public_key())

    def certificate(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(own_name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=_DAYS))
        )

    def usage(signs_certificates: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not signs_certificates,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs_certificates,
            crl_sign=signs_certificates,
            encipher_only=False,
            decipher_only=False,
        )

    own = (
        certificate(own_name, own_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.NameConstraints(allowed, None), critical=True)
        .sign(own_key, hashes.SHA256())
    )
    leaf = (
        certificate(leaf_name, leaf_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(own_key, hashes.SHA256())
    )
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    own_pem = own.public_bytes(serialization.Encoding.PEM)
    leaf_pem = leaf.public_bytes(serialization.Encoding.PEM)
    return Authority(own_pem.decode(), (leaf_pem + own_pem + key).decode())


__all__ = ["Authority", "make_authority"]
