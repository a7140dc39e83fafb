"""The root digest of a model, held against values that model_signing itself gave."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats.model_manifest import root

GOLDEN = json.loads((Path(__file__).parents[2] / "data/model_manifest.json").read_bytes())


@pytest.mark.parametrize("model", GOLDEN["models"], ids=lambda model: model["model"])
def test_the_root_is_the_one_that_model_signing_gives(model: dict[str, Any]) -> None:
    digests = {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in model["contents"].items()
    }
    assert root(digests) == model["root"]
    assert root(dict(reversed(digests.items()))) == model["root"]


def test_another_byte_gives_another_root() -> None:
    one, other = (hashlib.sha256(text).hexdigest() for text in (b"weights", b"weighty"))
    assert root({"a": one, "b": one}) != root({"a": one, "b": other})
