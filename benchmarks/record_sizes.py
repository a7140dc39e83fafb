"""How large records are: of each commit by itself, of each line, and of 10,000 commits packed."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode
from collections import defaultdict
from pathlib import Path

from ground import Ground
from measure import Failed, Table, median, quantile
from record_corpus import Corpus, Density, Made

from agentprov.flows.world import World, seal
from agentprov.store import lines
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git

SEED = 20_261
_COMMITS = 2_000
# Whole digests, and halves as they stand for added lines.
_HEX = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})\b")
_MEGABYTE = 1_000_000
# What git-ai's own repository holds, unsigned, as its notes were measured for our targets.
_RIVAL = "git-ai: median 594, mean 1,209, p99 12,349 B a commit, 1.68 B a line, 52.9 MB packed"


def corpora(ground: Ground, table: Table) -> None:
    """Each commit's note compressed by itself with zlib, for two corpora that are made up."""
    count = ground.commits or (300 if ground.quick else _COMMITS)
    world = _world(ground, "corpora")
    table.note(_RIVAL)
    densities: tuple[Density, ...] = ("dense", "sparse")
    for density in densities:
        notes: dict[str, list[bytes]] = defaultdict(list)
        attributed = []
        for made in Corpus(density, SEED).commits(count):
            attributed.append(sum(item.lines for item in made))
            for anchor, signed in _signed(world, made).items():
                notes[anchor] += signed
        found = [len(zlib.compress(lines.join(signed))) for signed in notes.values()]
        figure = f"records, {density}"
        table.fact(figure, "commits", count)
        table.fact(figure, "attributed lines of a commit, median", round(median(attributed)))
        table.fact(figure, "attributed lines of a commit, mean", round(sum(attributed) / count))
        _most(table, figure, "zlib bytes of a commit, median", median(found), 1_500)
        _most(table, figure, "zlib bytes of a commit, mean", sum(found) / len(found), 2_000)
        _most(table, figure, "zlib bytes of a commit, p99", quantile(found, 0.99), 12_000)
        each = round(sum(found) / sum(attributed), 2)
        table.fact(figure, "zlib bytes of an attributed line", each, "<= 1.5", each <= 1.5)
        least = sum(_incompressible(signed) for signed in notes.values())
        alone = round(least / sum(attributed), 2)
        table.fact(figure, "of these, digests and signatures alone, as raw bytes", alone)
        plain = [len(zlib.compress(b"\n".join(sorted(signed)))) for signed in notes.values()]
        table.fact(figure, "the same bundles as JSON lines, median", round(median(plain)))


def packed(ground: Ground, table: Table) -> None:
    """The notes of many commits as the store writes them, one commit after another, then git gc.

    Nothing else is in the repository: notes need the ids of commits, not the commits.
    """
    count = ground.commits or (300 if ground.quick else 10_000)
    world = _world(ground, "packed")
    top = world.git.top
    for number, made in enumerate(Corpus("dense", SEED).commits(count), 1):
        world.store.add(_signed(world, made))
        if number % 2_000 == 0:
            ground.run("git", "gc", "-q", cwd=top)
    ground.run("git", "reflog", "expire", "--expire=now", "--all", cwd=top)
    ground.run("git", "gc", "-q", "--prune=now", cwd=top)
    size = sum(path.stat().st_size for path in (top / ".git/objects/pack").iterdir())
    if size == 0:
        raise Failed("git has packed nothing")
    figure = f"packed, {count:,} commits"
    megabytes = round(size / _MEGABYTE, 2)
    most = 25 * count / 10_000
    table.fact(figure, "pack and index, MB", megabytes, f"<= {most:g} MB", megabytes <= most)
    table.fact(figure, "bytes of a commit", round(size / count))


def _incompressible(signed: list[bytes]) -> int:
    """Count the bytes of a note that no encoding makes smaller: each digest, key hint and
    signature once, as raw bytes."""
    told: set[str] = set()
    size = 0
    for line in signed:
        envelope = json.loads(line)["dsseEnvelope"]
        size += sum(len(b64decode(each["sig"])) for each in envelope["signatures"])
        told |= set(_HEX.findall(b64decode(envelope["payload"]).decode()))
        told.add(b64decode(json.loads(line)["verificationMaterial"]["publicKey"]["hint"]).hex())
    return size + sum(len(digits) // 2 for digits in told)


def _most(table: Table, figure: str, what: str, value: float, most: int) -> None:
    table.fact(figure, what, round(value), f"<= {most}", value <= most)


def _world(ground: Ground, name: str) -> World:
    top = ground.place / name
    top.mkdir()
    ground.run("git", "init", "-q", cwd=top)
    return World(Git.discover(top), Path(ground.env["AGENTPROV_HOME"]), SystemClock())


def _signed(world: World, made: list[Made]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for item in made:
        found[item.anchor].append(seal(item.statement, world.recorder))
    return found
