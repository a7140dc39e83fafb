"""Key URIs to signers; each signer stands beside its verifier."""
