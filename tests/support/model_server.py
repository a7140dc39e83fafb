"""A model server on loopback as a process of its own: weights mapped, a chat endpoint before them.

Run as a program: ``python model_server.py [--hold FILE...] [--open FILE...] [--script JSON]``; it
prints its URL and serves until its standard input ends. `serving` starts one.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class ModelServer:
    """One that runs: where it listens, and its process."""

    url: str
    port: int
    process: subprocess.Popen[str]

    def tell(self, *words: str) -> None:
        """Have it let go of what it mapped, and map other files."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


@contextlib.contextmanager
def serving(
    *words: str, name: str = "llama-server", home: Path | None = None, cwd: Path | None = None
) -> Iterator[ModelServer]:
    """Start one under a process name of its own and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "model_server.py"), name, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={
            "PATH": os.defpath,
            "HOME": str(home or Path("/nonexistent")),
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE.parents[1])]),
        },
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        port = int(process.stdout.readline())
        yield ModelServer(f"http://127.0.0.1:{port}", port, process)
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def _held(paths: Sequence[str], *, mapped: bool) -> list[object]:
    found: list[object] = []
    for path in paths:
        stream = open(path, "rb")  # noqa: SIM115  held for as long as it is served
        if not mapped:
            found.append(stream)
            continue
        found.append(mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ))
        stream.close()
        _close_all(os.path.realpath(path))
    return found


def _close_all(path: str) -> None:
    """Leave a mapping only: Python keeps a descriptor for itself, model servers do not."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}") == path:
                os.close(int(name))


def main() -> None:
    """Serve until standard input ends."""
    import argparse

    from support.model_dialects import Say, Shell, Write
    from support.model_endpoint import ModelEndpoint

    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--map", action="append", default=[])
    parser.add_argument("--open", action="append", default=[])
    parser.add_argument("--served")
    parser.add_argument("--root", default=".")
    parser.add_argument("--model")
    given = parser.parse_args()
    if os.path.exists("/proc/self/comm"):
        Path("/proc/self/comm").write_text(given.name)
    held = [*_held(given.map, mapped=True), *_held(given.open, mapped=False)]
    script = [
        Write("src/app.py", "def greet(name):\n    return 'hello ' + name\n"),
        Shell("git add -A && git commit -qm 'Add the greeting'"),
        Say("All done."),
    ]
    with ModelEndpoint(script, root=Path(given.root), served=given.served) as endpoint:
        print(endpoint.url.rpartition(":")[2], flush=True)
        for line in sys.stdin:
            held[:] = _held(json.loads(line), mapped=True)
            print("held", flush=True)


if __name__ == "__main__":
    main()
