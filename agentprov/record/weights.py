"""Which files a model server on this machine answers from, found without asking it or the agent.

The process that listens on the port is found in the system's tables; weights are files that it,
or a process that it started, has open or mapped. Ollama's own manifests say which of them a
model's name stands for. Where nothing is held, the server's command line may name files: that is
somebody's word, and graded so.

Not covered: that the process really computes with these bytes, and with nothing else; weights in
another container or on another machine; systems without ``/proc``.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentprov.formats.model_manifest import IGNORED, ONLY_FILE
from agentprov.formats.vocabulary import Basis
from agentprov.record import ollama
from agentprov.system.files import open_regular, read_bounded
from agentprov.system.process_table import name_of, variable_of
from agentprov.system.serving import HeldFile, Listener, family, folder_of, held_files, words_of

MAX_FILES = 1_000
MAX_WORDS = 500
_BY_SUFFIX = frozenset({".gguf", ".ggml", ".safetensors", ".onnx"})
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_BY_NAME = re.compile(
    r"(pytorch_model|model|ggml|consolidated)[A-Za-z0-9._-]*\.(bin|pt|pth)|sha256[-:][0-9a-f]{64}"
)


@dataclass(frozen=True)
class Source:
    """One file of weights: its path, a process's hold on it, the digest that it is said to have."""

    path: Path
    held: HeldFile | None = None
    expected: str | None = None

    def open(self) -> int:
        """Open it, by the process's own hold where there is one; raises OSError."""
        return self.held.open() if self.held is not None else open_regular(self.path)


@dataclass(frozen=True)
class Model:
    """The files of one model as they were found, nothing hashed yet; named as model_signing does.

    `files` are by resource name. Without files `why` says what is missing.
    """

    basis: Basis = "observed"
    name: str | None = None
    files: tuple[tuple[str, Source], ...] = ()
    why: str | None = None


def server_name(listener: Listener, owner: str | None) -> str | None:
    """Give the short name of the program that listens, else the user's where that says enough."""
    if listener.pids:
        return name_of(listener.pids[0])
    return ollama.PROGRAM if owner == ollama.PROGRAM else None


def held_model(listener: Listener) -> Model:
    """Give the weights that the server's processes hold, or those that its command line names."""
    if not listener.pids:
        return Model(why="the process that listens there is not ours to look at")
    holdings: list[dict[tuple[int, int], HeldFile]] = []
    for pid in family(listener.pids):
        mine = {(file.device, file.inode): file for file in weights_of(pid)}
        if mine and not any(mine.keys() <= other.keys() for other in holdings):
            holdings = [other for other in holdings if not other.keys() <= mine.keys()]
            holdings.append(mine)
    if len(holdings) > 1:
        return Model(why="the server holds the weights of several models and names none")
    if holdings:
        sources = [Source(Path(file.path), file) for file in holdings[0].values()]
        return gathered(sources, "observed")
    return _named_on_command_line(listener.pids)


def weights_of(pid: int) -> Iterator[HeldFile]:
    """Give the files of weights that one process has open or mapped, judged by their names."""
    for file in held_files(pid):
        name = os.path.basename(file.path)
        if os.path.splitext(name)[1].lower() in _BY_SUFFIX or _BY_NAME.fullmatch(name):
            yield file


def gathered(sources: Sequence[Source], basis: Basis) -> Model:
    """Name files relative to the folder that holds them all; a single one is ``.``."""
    if len(sources) > MAX_FILES:
        return Model(why=f"more than {MAX_FILES} files")
    if len(sources) == 1:
        return Model(basis, sources[0].path.name, ((ONLY_FILE, sources[0]),))
    top = os.path.commonpath([source.path.parent for source in sources])
    named = {os.path.relpath(source.path, top): source for source in sources}
    return Model(basis, os.path.basename(top), tuple(sorted(named.items())))


def ollama_model(listener: Listener, name: str, owner_home: Path | None, home: Path) -> Model:
    """Give what a model's name stands for in Ollama; `observed` only if a process holds all of it.

    `home` is this session's.
    """
    blobs, why = ollama.blobs_of(name, ollama.folders(listener.pids, owner_home, home))
    if why is not None:
        return Model("reported", why=why)
    held = {file.inode: file for pid in family(listener.pids) for file in weights_of(pid)}
    sources = []
    for blob in blobs:
        try:
            status = os.stat(blob.path)
        except OSError:
            status = None
        hold = held.get(status.st_ino) if status is not None else None
        if hold is not None and os.path.basename(hold.path) != blob.path.name:
            hold = None
        sources.append(Source(blob.path, hold, blob.sha256))
    all_held = all(source.held is not None for source in sources)
    return gathered(sources, "observed" if all_held else "reported")


def _named_on_command_line(pids: Iterable[int]) -> Model:
    nothing = Model(why="the process that listens there holds no file of weights")
    for pid in family(tuple(pids)):
        folder = folder_of(pid)
        if folder is None:
            continue
        for word in words_of(pid)[1:MAX_WORDS]:
            value = word.partition("=")[2] if word.startswith("-") else word
            path = folder / value
            if os.path.splitext(value)[1].lower() in _BY_SUFFIX and _is_regular(path):
                return gathered([Source(path)], "declared")
            places = [path] if "/" in value else []
            places += _in_hub_cache(pid, value) if _HUB_NAME.fullmatch(value) else []
            for place in places:
                found = _folder(place) if _is_regular(place / "config.json") else Model()
                if found.files:
                    return found
    return nothing


def _in_hub_cache(pid: int, name: str) -> Iterator[Path]:
    """Give where the server's own cache of the Hugging Face hub keeps a model's main revision."""
    base = variable_of(pid, "HF_HUB_CACHE")
    if base is None:
        home = variable_of(pid, "HF_HOME")
        base = home and os.path.join(home, "hub")
    if base is None:
        base = os.path.join(variable_of(pid, "HOME") or "/", ".cache/huggingface/hub")
    model = Path(base, "models--" + name.replace("/", "--"))
    with contextlib.suppress(OSError):
        revision = read_bounded(model / "refs" / "main", 256).decode("ascii", "replace").strip()
        if re.fullmatch("[0-9a-f]{40,64}", revision):
            yield model / "snapshots" / revision


def _folder(top: Path) -> Model:
    """Give a model's folder whole, with what lies beside the weights; links of files followed."""
    found: dict[str, Source] = {}
    for place, folders, names in os.walk(top):
        at_top = Path(place) == top
        folders[:] = [name for name in folders if not (at_top and name in IGNORED)]
        for name in names:
            path = Path(place, name)
            if (at_top and name in IGNORED) or not _is_regular(path):
                continue
            found[path.relative_to(top).as_posix()] = Source(path)
            if len(found) > MAX_FILES:
                return Model(why=f"the folder holds more than {MAX_FILES} files")
    if not any(Path(name).suffix in (".safetensors", ".bin", ".gguf") for name in found):
        return Model()
    return Model("declared", top.name, tuple(sorted(found.items())))


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


__all__ = [
    "MAX_FILES",
    "Model",
    "Source",
    "gathered",
    "held_model",
    "ollama_model",
    "server_name",
    "weights_of",
]
