"""The digest of a model that lies in files, by the rule of OpenSSF's model_signing.

A signature of model_signing is an in-toto statement: its predicate lists the files of a model
with a digest each, its one subject is the model, with the root that is computed here. Whoever has
such a signature can hold it against what a session recorded. Checked against model_signing 1.1.1
(tests/data/model_manifest.json); signatures themselves are not read or made here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

RULE = "https://model_signing/signature/v1.0"
"""Predicate type of such signatures; the rule of the root is known by it."""

ONLY_FILE = "."
"""What a model that is a single file calls that file."""

IGNORED = frozenset({".git", ".gitattributes", ".github", ".gitignore"})
"""Names at the top of a model's folder that are no part of the model."""


def root(digests: Mapping[str, str]) -> str:
    """Give the root of files by name (``/`` between folders): sha256 over their raw sha256.

    Names are ordered step by step, so that ``a/b`` stands before ``a-b``. Raises ValueError for
    a digest that is no hex.
    """
    whole = hashlib.sha256()
    for name in sorted(digests, key=lambda name: name.split("/")):
        whole.update(bytes.fromhex(digests[name]))
    return whole.hexdigest()


__all__ = ["IGNORED", "ONLY_FILE", "RULE", "root"]
