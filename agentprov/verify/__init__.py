"""The judge: bytes and facts in, findings out; it has no hands."""
