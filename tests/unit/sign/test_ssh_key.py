"""Keys in ssh-agent, against agents of the test's own that lie, stall and break off.

A real ssh-agent is asked in tests/integration/test_signing_keys.py.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentprov.errors import (
    AgentEmpty,
    AgentGarbled,
    AgentRefused,
    AgentTimedOut,
    KeyKindRefused,
    KeyNotInAgent,
    KeyRotated,
    KeyUnusable,
)
from agentprov.formats import ssh_wire
from agentprov.sign import public
from agentprov.sign.key_use import KeyUse
from agentprov.sign.ssh_key import AgentKey
from agentprov.sign.verifier import KeyVerifier
from support.ssh import odd_agent, replies, request

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")

ED, EC = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
FAILURE = b"\x05"
Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def spki(key: Key) -> bytes:
    return public.spki_of(key.public_key())


def name(key: Key) -> str:
    return ssh_wire.fingerprint(ssh_wire.blob_of(spki(key)))


def listed(*blobs: bytes) -> bytes:
    body = b"".join(ssh_wire.text(blob) + ssh_wire.text(b"a comment") for blob in blobs)
    return b"\x0c" + len(blobs).to_bytes(4, "big") + body


def signed(key: Key, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        kind, raw = ssh_wire.ED25519, key.sign(data)
    else:
        kind = ssh_wire.P256
        pair = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        raw = b"".join(
            ssh_wire.text(number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in pair
        )
    return b"\x0e" + ssh_wire.text(ssh_wire.text(kind) + ssh_wire.text(raw))


def honest(*keys: Key) -> Callable[[socket.socket], None]:
    """Behave as ssh-agent does, with these keys."""

    def answer(stream: socket.socket) -> None:
        while message := request(stream):
            if message == b"\x0b":
                reply = listed(*(ssh_wire.blob_of(spki(key)) for key in keys))
            else:
                reader = ssh_wire.Reader(message)
                assert reader.take(1) == b"\x0d"
                blob, data = reader.text(), reader.text()
                assert reader.number() == 0
                holder = [key for key in keys if ssh_wire.blob_of(spki(key)) == blob]
                reply = signed(holder[0], data) if holder else FAILURE
            stream.sendall(len(reply).to_bytes(4, "big") + reply)

    return answer


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda path: monkeypatch.setenv("SSH_AUTH_SOCK", path)


@pytest.mark.parametrize("key", [ED, EC], ids=["ed25519", "p256"])
def test_the_agents_signature_is_given_in_the_form_that_verifies(
    at: Callable[[str], None], key: Key
) -> None:
    with odd_agent(honest(ED, EC)) as path:
        at(path)
        signer = AgentKey(name(key))
        for number in range(20):
            pae = b"DSSEv1 %d" % number
            assert KeyVerifier().verify(spki(key), pae, signer.sign(pae))
        assert signer.spki == spki(key)
        assert signer.custody == "agent"
        assert signer.uri == f"ssh:{name(key)}"


def test_confirmation_is_the_users_word_and_stands_in_the_uri() -> None:
    signer = AgentKey(name(ED), confirm=True)
    assert signer.custody == "agent-confirm"
    assert signer.uri == f"ssh:{name(ED)}?confirm"


def test_the_person_is_told_which_key_is_asked_for_and_what_for(at: Callable[[str], None]) -> None:
    said: list[str] = []
    with odd_agent(honest(ED)) as path:
        at(path)
        use = KeyUse("human key", "to sign the plan PLAN.md", say=said.append)
        AgentKey(name(ED), use).sign(b"x")
    assert said == [f"ssh-agent is asked for the human key {name(ED)}, to sign the plan PLAN.md"]


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ([listed()], AgentEmpty, "no key, or is locked"),
        ([FAILURE], AgentEmpty, "no key, or is locked"),
        ([listed(ssh_wire.blob_of(spki(EC)))], KeyNotInAgent, "does not hold the key SHA256:"),
        ([b"\x0c\0\0\xff\xff"], AgentGarbled, "65535 keys"),
        ([b"\x0c\0\0\0\x02" + ssh_wire.text(b"x") * 2], AgentGarbled, "too short"),
        ([listed(ssh_wire.blob_of(spki(ED))) + b"x"], AgentGarbled, "after the end"),
        ([b"\x0e"], AgentGarbled, "type 14, not 12"),
        ([listed(ssh_wire.blob_of(spki(ED))), FAILURE], AgentRefused, "did not sign"),
    ],
)
def test_what_an_agent_can_answer_instead_has_an_error_of_its_own(
    at: Callable[[str], None],
    answers: list[bytes],
    error: type[KeyUnusable],
    words: str,
) -> None:
    def answer(stream: socket.socket) -> None:
        while message := request(stream):
            reply = answers[-1] if message[:1] == b"\x0d" else answers[0]
            stream.sendall(len(reply).to_bytes(4, "big") + reply)

    with odd_agent(answer) as path:
        at(path)
        with pytest.raises(error, match=words) as caught:
            AgentKey(name(ED)).sign(b"x")
    assert caught.value.hint
    assert type(caught.value) is error


@pytest.mark.parametrize("expected", [None, spki(ED)], ids=["asked", "known"])
def test_a_key_that_left_the_agent_is_said_to_be_gone_not_refused(
    at: Callable[[str], None], expected: bytes | None
) -> None:
    with odd_agent(honest(EC)) as path:
        at(path)
        with pytest.raises(KeyNotInAgent):
            AgentKey(name(ED), KeyUse(expected=expected)).sign(b"x")


@pytest.mark.parametrize(
    "reply",
    [signed(ED, b"other bytes"), signed(EC, b"x"), b"\x0e" + ssh_wire.text(b""), b"\x0c", b"\x06",
     signed(ED, b"x") + b"more"],
    ids=["other bytes", "other kind", "empty", "a list", "success", "more"],
)  # fmt: skip
def test_a_signature_that_is_none_is_never_given(at: Callable[[str], None], reply: bytes) -> None:
    with odd_agent(replies(reply)) as path:
        at(path)
        with pytest.raises(AgentGarbled):
            AgentKey(name(ED), KeyUse(expected=spki(ED))).sign(b"x")


def test_a_key_that_is_not_the_chosen_one_is_not_asked_for() -> None:
    with pytest.raises(KeyRotated, match="not the one that was chosen"):
        AgentKey(name(ED), KeyUse(expected=spki(EC))).sign(b"x")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (b"ssh-rsa", "an ssh-rsa key; only ECDSA P-256"),
        (b"ecdsa-sha2-nistp384", "an ecdsa-sha2-nistp384 key"),
        (b"sk-ssh-ed25519@openssh.com", "its own flags and a counter"),
        (b"ssh-ed25519-cert-v01@openssh.com", "only ECDSA P-256"),
    ],
)
def test_keys_of_other_kinds_are_refused_with_a_way_out(
    at: Callable[[str], None], kind: bytes, words: str
) -> None:
    blob = ssh_wire.text(kind) + ssh_wire.text(b"x" * 40)
    with odd_agent(replies(listed(blob))) as path:
        at(path)
        with pytest.raises(KeyKindRefused, match=words) as caught:
            AgentKey(ssh_wire.fingerprint(blob)).sign(b"x")
    assert "ssh-keygen -t ed25519" in (caught.value.hint or "")


def test_a_p256_point_that_is_on_no_curve_is_garbled(at: Callable[[str], None]) -> None:
    point = ssh_wire.text(b"nistp256") + ssh_wire.text(b"\4" + b"\x01" * 64)
    blob = ssh_wire.text(ssh_wire.P256) + point
    with odd_agent(replies(listed(blob))) as path:
        at(path)
        with pytest.raises(AgentGarbled):
            AgentKey(ssh_wire.fingerprint(blob)).sign(b"x")


def test_an_agent_whose_person_does_not_come_is_given_up(at: Callable[[str], None]) -> None:
    def answer(stream: socket.socket) -> None:
        request(stream)
        stream.recv(1)  # until the other side hangs up

    with odd_agent(answer) as path:
        at(path)
        with pytest.raises(AgentTimedOut, match=r"within 0\.1 s") as caught:
            AgentKey(name(ED), KeyUse(expected=spki(ED)), sign_seconds=0.1).sign(b"x")
    assert "waits for you" in (caught.value.hint or "")


def test_what_is_too_large_for_an_agent_is_not_sent(at: Callable[[str], None]) -> None:
    with odd_agent(honest(ED)) as path:
        at(path)
        with pytest.raises(KeyUnusable, match="too large for ssh-agent"):
            AgentKey(name(ED)).sign(b"x" * 300_000)
        assert AgentKey(name(ED)).sign(b"x" * 200_000)


class Fuzzed:
    """One listener for many examples; it answers with whatever the example says."""

    frames: tuple[bytes, ...] = ()


@pytest.fixture(scope="module")
def fuzzed() -> object:
    def answer(stream: socket.socket) -> None:
        request(stream)
        # All at once and an end, so that a frame that announces too much holds nobody up.
        stream.sendall(b"".join(Fuzzed.frames))
        stream.shutdown(socket.SHUT_WR)
        request(stream)

    with odd_agent(answer) as path:
        yield path


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Give a frame with bytes changed, cut or added anywhere."""
    frame = len(whole).to_bytes(4, "big") + whole
    return st.one_of(
        st.builds(
            lambda at, byte: frame[:at] + bytes([byte]) + frame[at + 1 :],
            st.integers(0, len(frame) - 1),
            st.integers(0, 255),
        ),
        st.builds(lambda at: frame[:at], st.integers(0, len(frame))),
        st.builds(lambda more: frame + more, st.binary(max_size=8)),
    )


FRAMES = st.tuples(
    st.one_of(
        damaged(listed(ssh_wire.blob_of(spki(EC)), ssh_wire.blob_of(spki(ED)))),
        st.binary(max_size=60),
    ),
    st.one_of(damaged(signed(EC, b"x")), st.binary(max_size=60)),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(FRAMES, st.booleans())
def test_whatever_an_agent_answers_is_a_good_signature_or_a_typed_error(
    fuzzed: str, frames: tuple[bytes, bytes], known: bool
) -> None:
    Fuzzed.frames = frames[1:] if known else frames
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", fuzzed)
        use = KeyUse(expected=spki(EC)) if known else KeyUse()
        try:
            signature = AgentKey(name(EC), use, sign_seconds=2, list_seconds=2).sign(b"x")
        except KeyUnusable:
            return
    assert KeyVerifier().verify(spki(EC), b"x", signature)


def test_a_private_key_is_nowhere_in_a_signer() -> None:
    secret = ED.private_bytes(
        serialization.Encoding.Raw,
        serialization.PrivateFormat.Raw,
        serialization.NoEncryption(),
    )
    assert secret not in repr(vars(AgentKey(name(ED), KeyUse(expected=spki(ED))))).encode()
