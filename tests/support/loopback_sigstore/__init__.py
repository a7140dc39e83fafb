"""A Sigstore instance on loopback, for real keyless signing without a network.

It does what the public services do and checks what they check, so that real clients sign and
verify against it: tokens (authorization code, device code, CI), certificates with an SCT, both
kinds of transparency log, timestamps. And every part of it can be made to fail.

::

    with LoopbackSigstore() as sigstore:
        config = sigstore.client_trust_config_json(rekor=2)   # for a signer
        root = sigstore.trusted_root_json()                    # for a verifier
        sigstore.weather.down.add("fulcio")
        sigstore.rekor1.defect = "proof"
"""

from support.loopback_sigstore.instance import WORKFLOW, LoopbackSigstore
from support.loopback_sigstore.tsa import LoopbackTsa, TimestampAuthority

__all__ = ["WORKFLOW", "LoopbackSigstore", "LoopbackTsa", "TimestampAuthority"]
