"""A timestamp authority made of ``openssl ts``, which shares no code with what checks it."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agentprov.formats.evidence import TimestampAuthority

_CONFIGURATION = """
[tsa]
default_tsa = loopback
[loopback]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
crypto_device = builtin
"""
_REPLY = "application/timestamp-reply"
_NOW = datetime.now(UTC)


class OpensslTsa:
    """One authority: a root, a certificate for timestamps, and openssl to stamp with.

    `usages`, `critical` and the dates are the certificate's, for authorities that are unfit.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "stamps",
        usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.TIME_STAMPING,),
        critical: bool = True,
        not_before: datetime = _NOW - timedelta(days=1),
        not_after: datetime = _NOW + timedelta(days=1),
    ) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self.folder = folder
        self.name = name
        folder.mkdir(parents=True)
        root_key = ec.generate_private_key(ec.SECP256R1())
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        dates = (_NOW - timedelta(days=900), _NOW + timedelta(days=900))
        self.root = _certificate(f"{name} root", root_key, None, root_key, dates)
        self.leaf = _certificate(
            name, leaf_key, self.root, root_key, (not_before, not_after), usages, critical
        )
        (folder / "leaf.pem").write_bytes(self.leaf.public_bytes(serialization.Encoding.PEM))
        (folder / "leaf.key").write_bytes(
            leaf_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (folder / "tsa.cnf").write_text(_CONFIGURATION.format(folder=folder))

    @property
    def chain(self) -> bytes:
        pem = serialization.Encoding.PEM
        return self.leaf.public_bytes(pem) + self.root.public_bytes(pem)

    @property
    def authority(self) -> TimestampAuthority:
        return TimestampAuthority(self.name, self.chain)

    def answer(self, query: bytes) -> bytes:
        """Give the response (DER) to a request (DER)."""
        asked, answered = self.folder / "query", self.folder / "response"
        asked.write_bytes(query)
        words: list[str | Path] = ["-config", self.folder / "tsa.cnf", "-queryfile", asked]
        words += ["-signer", self.folder / "leaf.pem", "-inkey", self.folder / "leaf.key"]
        done = subprocess.run(
            ["openssl", "ts", "-reply", *words, "-out", answered],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return answered.read_bytes()

    def stamp(self, signature: bytes, *options: str) -> bytes:
        """Stamp a signature; `options` go to ``openssl ts -query``."""
        data, query = self.folder / "data", self.folder / "own-query"
        data.write_bytes(signature)
        words = options or ("-sha256", "-cert")
        subprocess.run(
            ["openssl", "ts", "-query", "-data", data, *words, "-out", query],
            capture_output=True,
            check=True,
        )
        return self.answer(query.read_bytes())


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    signer: ec.EllipticCurvePrivateKey,
    dates: tuple[datetime, datetime],
    usages: Sequence[x509.ObjectIdentifier] = (),
    critical: bool = True,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dates[0])
        .not_valid_after(dates[1])
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    return builder.sign(signer, hashes.SHA256())


@dataclass
class Service:
    """An authority behind HTTP; `asked` are the requests that came, `weather` what goes wrong."""

    url: str
    weather: str = "fine"
    asked: list[bytes] = field(default_factory=list)


@contextmanager
def serving(tsa: OpensslTsa) -> Iterator[Service]:
    """Serve on loopback for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            service.asked.append(query)
            status, kind, body = 200, _REPLY, b""
            match service.weather:
                case "fine":
                    body = tsa.answer(query)
                case "old-answer":
                    body = tsa.stamp(b"of another day")
                case "nonsense":
                    body = b"certainly not DER"
                case "page":
                    kind, body = "text/html", b"<p>Welcome to this wireless network</p>"
                case "refuses":
                    status = 503
                case "redirects":
                    status = 302
                case "endless":
                    body = bytes(1_000_000)
                case "silent":
                    time.sleep(3)
                    return
            self.send_response(status)
            if status == 302:
                self.send_header("Location", service.url + "/elsewhere")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def do_GET(self) -> None:
            service.asked.append(b"GET " + self.path.encode())
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # A connection that is gone before it is accepted must not hold the server, nor its end.
    server.socket.settimeout(2)
    service = Service(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
