"""A storm of changes in a real work tree: file events and snapshots must tell the same."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentprov.record import snapshot
from agentprov.record.versions import Versions, kept
from agentprov.record.watcher import Watcher
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git
from agentprov.system.trees import blobs_at, diff_tree
from support.repository import Repository

OPERATIONS = 10_000
START = "2026-01-01T00:00:00.000Z"


class Storm:
    """Random changes of files and directories, by a seed; what it leaves is not its business."""

    def __init__(self, top: Path, seed: int) -> None:
        self.top = top
        self.random = random.Random(seed)
        self.serial = 0
        self.folders = [top / f"d{number}" for number in range(8)]
        self.files = [self.folders[number % 8] / f"f{number}.txt" for number in range(200)]

    def begin(self) -> None:
        for folder in self.folders:
            folder.mkdir()
        for file in self.files:
            file.write_text(f"{file.name}\n")

    def blow(self) -> None:
        self.serial += 1
        kind = self.random.random()
        file = self.random.choice(self.files)
        if kind < 0.3:
            with file.open("a") as stream:
                stream.write(f"line {self.serial}\n")
        elif kind < 0.5:
            aside = file.with_name(f".{file.name}.tmp")
            aside.write_text(f"whole {self.serial}\n")
            aside.replace(file)
        elif kind < 0.7:
            self._create(self.random.choice(self.folders))
        elif kind < 0.8 and len(self.files) > 50:
            self.files.remove(file)
            file.unlink()
        elif kind < 0.93:
            self.files.remove(file)
            to = self.random.choice(self.folders) / f"moved{self.serial}.txt"
            self.files.append(file.rename(to))
        elif kind < 0.97:
            # As tools unpack: a new directory, and files in it at once.
            folder = self.random.choice(self.folders) / f"new{self.serial}" / "deep"
            folder.mkdir(parents=True)
            self.folders.append(folder)
            for _ in range(3):
                self._create(folder)
        elif len(self.folders) > 8:
            self._move_or_remove(self.random.randrange(8, len(self.folders)))

    def _create(self, folder: Path) -> None:
        self.serial += 1
        path = folder / f"made{self.serial}.txt"
        path.write_text(f"made {self.serial}\n")
        self.files.append(path)

    def _move_or_remove(self, number: int) -> None:
        folder = self.folders.pop(number)
        inside = [path for path in self.folders if folder in path.parents]
        self.folders = [path for path in self.folders if path not in inside]
        self.files = [path for path in self.files if folder not in path.parents]
        if self.random.random() < 0.5:
            shutil.rmtree(folder)
            return
        to = folder.with_name(f"renamed{self.serial}")
        folder.rename(to)
        self.files += [path for path in to.rglob("*.txt") if path.is_file()]
        self.folders.append(to)


@pytest.mark.parametrize("seed", [1, 2])
def test_events_and_snapshots_agree_on_every_net_change_of_a_storm(
    tmp_path: Path, seed: int
) -> None:
    repository = Repository(tmp_path / "repo")
    storm = Storm(repository.top, seed)
    storm.begin()
    repository.commit("first")
    git = Git.discover(repository.top)
    git.home.mkdir(parents=True, exist_ok=True)
    before = snapshot.take(git, START, "before")
    objects = snapshot.private_git(git).objects
    assert objects is not None
    clock = SystemClock({})
    place = tmp_path / "versions.jsonl"
    versions = Versions(
        repository.top, objects, place, lambda: clock.now().isoformat(), git.object_format
    )
    watcher = Watcher(repository.top, clock, ignore=(git.home,), noticed=versions.noticed)
    versions.start()
    watcher.start()
    assert watcher.ready(20)
    for _ in range(OPERATIONS):
        storm.blow()
    time.sleep(0.3)
    seen = watcher.stop()
    versions.stop()
    after = snapshot.take(git, START, "after")
    changes = diff_tree(snapshot.private_git(git), before.tree, after.tree, renames=False)
    changed = {change.path for change in changes}
    assert len(changed) > 500
    assert seen.gaps == ()
    missed = changed - seen.paths.keys()
    assert missed == set()
    ends = blobs_at(snapshot.private_git(git), after.tree, changed)
    with snapshot.private_git(git).cat_file() as reader:

        def content(blob: str) -> bytes | None:
            found = reader.get(blob)
            return found[1] if found else None

        last = {path: found[-1].content for path, found in kept(place, content, None).items()}
        wrong = {
            path
            for path in changed
            if last.get(path) != (content(blob) if (blob := ends.get(path)) else None)
        }
    assert wrong == set()


_WATCH = """
import sys
from pathlib import Path
from agentprov.record.watcher import Watcher
from agentprov.system.clock import SystemClock
watcher = Watcher(Path(sys.argv[1]), SystemClock({}))
watcher.start()
print(watcher.ready(20), flush=True)
sys.stdin.readline()
print([gap.why for gap in watcher.stop().gaps], flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the queue is inotify's")
def test_when_the_systems_queue_overflows_the_record_says_so(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip("the queue is too long to fill")
    (tmp_path / ".git").mkdir()
    watching = subprocess.Popen(
        [sys.executable, "-c", _WATCH, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdin is not None
    assert watching.stdout is not None
    assert watching.stdout.readline() == "True\n"
    # Who does not read while others write misses what the queue cannot hold.
    watching.send_signal(signal.SIGSTOP)
    # More than it needs: the process may still read for a moment before it stands still.
    for number in range(limit + 1_000):
        (tmp_path / f"f{number}").touch()
    watching.send_signal(signal.SIGCONT)
    said, _ = watching.communicate("end\n", timeout=120)
    assert "file-events-lost" in said
