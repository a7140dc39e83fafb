"""The bytes that a DSSE signature covers (DSSE 1.0.2, protocol section "Signature Definition")."""

from __future__ import annotations


def pae(payload_type: str, payload: bytes) -> bytes:
    """Encode payload type and payload so that neither can be mistaken for the other.

    Lengths count bytes of UTF-8, not characters.
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
