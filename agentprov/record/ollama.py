"""Where Ollama keeps the weights of a model: a manifest by name, and blobs by digest.

The layout is that of a container registry: ``models/manifests/HOST/NAMESPACE/MODEL/TAG`` is JSON
whose layers name ``models/blobs/sha256-DIGEST``. A manifest is Ollama's own word for which bytes
a name stands for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentprov.system.files import read_bounded
from agentprov.system.process_table import variable_of

PROGRAM = "ollama"
_HOST, _NAMESPACE, _TAG = "registry.ollama.ai", "library", "latest"
_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}(:[0-9]{1,5})?")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_WEIGHTS = re.compile(r"application/vnd\.ollama\.image\.(model|projector|adapter|tensor)")
_MAX_MANIFEST = 4 * 1024 * 1024
_MAX_LAYERS = 1_000


@dataclass(frozen=True)
class Blob:
    """One file of weights: the digest that the manifest names, and where it lies."""

    sha256: str
    path: Path


def folders(pids: Iterable[int], home: Path | None, ours: Path) -> list[Path]:
    """Give the folders in which a server may keep models, the likeliest first.

    `home` is that of the user who runs it, `ours` the home of this session. Variables are those
    that the server was started with, never the agent's.
    """
    found: list[Path] = []
    for pid in pids:
        named = variable_of(pid, "OLLAMA_MODELS")
        if named and named.startswith("/"):
            found.append(Path(named))
        base = variable_of(pid, "HOME")
        if base and base.startswith("/"):
            found.append(Path(base, ".ollama", "models"))
    found += [base / ".ollama" / "models" for base in (home, ours) if base is not None]
    return list(dict.fromkeys(found))


def blobs_of(name: str, places: Iterable[Path]) -> tuple[list[Blob], str | None]:
    """Give the files of weights that a model's name stands for, or why there are none.

    Does not look whether the files are there or hold what their names say.
    """
    path = _manifest_path(name)
    if path is None:
        return [], "Ollama can keep no manifest under the model's name"
    for models in places:
        try:
            manifest: Any = json.loads(read_bounded(models / "manifests" / path, _MAX_MANIFEST))
        except OSError:
            continue
        except (ValueError, RecursionError):
            return [], "Ollama's manifest of that name cannot be read"
        blobs = [Blob(one, models / "blobs" / f"sha256-{one}") for one in _layers(manifest)]
        return blobs, None if blobs else "Ollama's manifest of that name names no weights"
    return [], "Ollama keeps no manifest of that name that can be read here"


def _layers(manifest: Any) -> list[str]:
    layers = manifest.get("layers") if isinstance(manifest, Mapping) else None
    found: list[str] = []
    for layer in layers[:_MAX_LAYERS] if isinstance(layers, list) else ():
        if isinstance(layer, Mapping) and _WEIGHTS.fullmatch(str(layer.get("mediaType"))):
            digest = _DIGEST.fullmatch(str(layer.get("digest")))
            if digest is not None and digest[1] not in found:
                found.append(digest[1])
    return found


def _manifest_path(name: str) -> Path | None:
    """Spell a name out; host, namespace and tag have defaults. None for what is no such name."""
    front, slash, last = name.rpartition("/")
    model, colon, tag = last.partition(":")
    steps = [*(front.split("/") if slash else ()), model]
    steps = [_HOST, _NAMESPACE][: max(0, 3 - len(steps))] + steps
    steps.append(tag if colon else _TAG)
    if len(steps) != 4 or not all(_STEP.fullmatch(step) for step in steps):
        return None
    return Path(*steps)


__all__ = ["PROGRAM", "Blob", "blobs_of", "folders"]
