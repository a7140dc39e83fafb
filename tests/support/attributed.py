"""Runs programs under attribution, and builds the ones that no script could stand for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentprov.record.attribution import Untouched, untouched_by_agent
from agentprov.system.attribution.ledger import Attributed
from agentprov.system.attribution.tree import Attribution, available

MARK = "AGENTPROV_SESSION=under-test"
needs_attribution = pytest.mark.skipif(available() is not None, reason=str(available()))

C_PROGRAM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void put(int fd) { if (fd < 0) { perror("open"); exit(1); } write(fd, "x\n", 2); close(fd); }
static void *work(void *name) {
  for (int i = 0; i < 50; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s-%d", (char *)name, i);
    put(open(path, O_WRONLY | O_CREAT, 0644));
  }
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argv[1];
  if (!strcmp(what, "at")) {
    int dir = open(argv[2], O_RDONLY | O_DIRECTORY);
    put(openat(dir, "by-descriptor", O_WRONLY | O_CREAT, 0644));
    int other = openat(dir, "by-descriptor", O_RDONLY);
    linkat(dir, "by-descriptor", dir, "linked", 0);
    renameat(dir, "linked", dir, "renamed");
    symlinkat("by-descriptor", dir, "symbolic");
    unlinkat(dir, "gone", 0);
    mknodat(dir, "node", S_IFREG | 0644, 0);
    fchmod(other, 0755);
    truncate("cut", 1);
    creat("made", 0644);
    unsigned long long how[3] = {O_WRONLY | O_CREAT, 0644, 0};
    put(syscall(437, dir, "by-how", how, sizeof how));
    return 0;
  }
  if (!strcmp(what, "chdir")) {
    mkdir("deep", 0755); chdir("deep");
    put(open("inner", O_RDWR | O_CREAT, 0644));
    put(open("../outer", O_WRONLY | O_CREAT, 0644));
    return 0;
  }
  if (!strcmp(what, "threads")) {
    pthread_t one, two;
    pthread_create(&one, 0, work, "one"); pthread_create(&two, 0, work, "two");
    pthread_join(one, 0); pthread_join(two, 0);
    return 0;
  }
  if (!strcmp(what, "burst")) {
    int count = atoi(argv[2]);
    for (int i = 0; i < count; i++) {
      char path[64];
      snprintf(path, sizeof path, "f%05d", i);
      put(open(path, O_WRONLY | O_CREAT, 0644));
    }
    return 0;
  }
  if (!strcmp(what, "tmpfile")) {
    int fd = open(".", O_TMPFILE | O_WRONLY, 0644);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, path, AT_FDCWD, "appeared", AT_SYMLINK_FOLLOW)) return 1;
    put(fd);
    return 0;
  }
  if (!strcmp(what, "reopen")) {
    int fd = open("quiet", O_RDONLY);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    put(open(path, O_WRONLY | O_APPEND));
    return 0;
  }
  if (!strcmp(what, "uring")) {
    char room[256] = {0};
    long done = syscall(425, 4, room);
    return done < 0 && errno == ENOSYS ? 0 : 1;
  }
#ifdef __x86_64__
  if (!strcmp(what, "foreign")) {
    /* The 32-bit way in takes 32-bit addresses only. */
    static char path[] = "by-i386";
    long result;
    __asm__ volatile("int $0x80" : "=a"(result)
                     : "a"(5), "b"(path), "c"(O_WRONLY | O_CREAT), "d"(0644) : "memory");
    return result < 0 ? 3 : 0;
  }
#endif
  return 2;
}
"""
GO_PROGRAM = """package main

import "os"

func main() {
	done := make(chan bool)
	for _, name := range []string{"from-go-1", "from-go-2"} {
		go func(name string) {
			if os.WriteFile(name, []byte("x\\n"), 0o644) != nil {
				os.Exit(1)
			}
			done <- true
		}(name)
	}
	<-done
	<-done
}
"""


def static_c(folder: Path) -> Path:
    """Compile the C program without any library to load; skips where that cannot be done."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, program = folder / "writer.c", folder / "writer"
    source.write_text(C_PROGRAM)
    # Not position-independent: static data must lie where 32-bit addresses reach.
    done = subprocess.run(
        [compiler, "-static", "-no-pie", "-O1", "-w", "-o", program, source, "-lpthread"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no static C library: {done.stderr.decode()[-200:]}")
    return program


def static_go(folder: Path) -> Path:
    """Compile the Go program; skips where there is no compiler."""
    compiler = shutil.which("go")
    if compiler is None:
        pytest.skip("no Go compiler")
    (folder / "writer.go").write_text(GO_PROGRAM)
    done = subprocess.run(
        [compiler, "build", "-o", folder / "go-writer", folder / "writer.go"],
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOPROXY": "off",
             "GOCACHE": str(folder / "cache"), "GOTOOLCHAIN": "local"},
        capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"Go does not build here: {done.stderr.decode()[-200:]}")
    return folder / "go-writer"


@dataclass(frozen=True)
class Ran:
    """How a program ended, and what was attributed to its tree."""

    status: int
    attributed: Attributed
    top: Path

    def named(self) -> set[str]:
        """Give the paths below the work tree that were named, relative to it."""
        top = os.fsencode(self.top) + b"/"
        return {
            os.fsdecode(path.removeprefix(top))
            for path in self.attributed.paths
            if path.startswith(top)
        }

    def untouched(self, *changed: str) -> set[str]:
        """Give which of some changed paths somebody else changed; they must be tellable."""
        answer = self.judged(*changed)
        assert answer.why_not is None, (answer, self.attributed.gaps, self.attributed.contacts)
        return {os.fsdecode(path) for path in answer.paths}

    def judged(self, *changed: str) -> Untouched:
        """Judge changed paths, whatever the answer."""
        return untouched_by_agent(
            os.fsencode(self.top), [os.fsencode(path) for path in changed], self.attributed
        )


def attribute(
    *argv: object,
    top: Path,
    scratch: Path,
    env: Mapping[str, str] | None = None,
    meanwhile: Callable[[Attribution], None] | None = None,
) -> Ran:
    """Run a command to its end under attribution; `meanwhile` is called once it runs."""
    name, _, value = MARK.partition("=")
    attribution = Attribution.start(scratch, MARK)
    child = attribution.spawn(
        [str(word) for word in argv], {**os.environ, name: value, **(env or {})}, top
    )
    if meanwhile is not None:
        meanwhile(attribution)
    status = child.wait(attribution.check, 0.05)
    assert child.tick_failure is None
    return Ran(status, attribution.stop(), top)


def python(*arguments: object) -> tuple[object, ...]:
    """Give the command line of a Python program that reads no site configuration."""
    return (sys.executable, "-I", "-S", *arguments)


def wait_until(happened: Callable[[], bool], seconds: float = 15) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
