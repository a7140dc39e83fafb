"""People with clones of their own, and the bare repositories that stand between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentprov.formats.names import NOTES_REF
from agentprov.store.notes import NotesStore
from agentprov.system.git import Git
from support.command_line import Answer, agentprov
from support.repository import Repository


def at(place: Path) -> Repository:
    """Give a repository that is there already, bare or not."""
    made = Repository.__new__(Repository)
    made.top = place
    return made


@dataclass
class Person:
    """Somebody with one clone and keys of their own."""

    repository: Repository
    home: Path

    def agentprov(self, *arguments: str) -> Answer:
        """Run one command as this person."""
        env = {"AGENTPROV_HOME": str(self.home)}
        return agentprov(*arguments, cwd=self.repository.top, env=env)

    def record(self, name: str) -> str:
        """Let a recorded command commit one file; gives the commit."""
        script = f"echo {name} > {name}; git add {name}; git commit -qm 'Add {name}'"
        done = self.agentprov("run", "-q", "--", "sh", "-c", script)
        assert done.status == 0, done.err
        return self.repository.git("rev-parse", "HEAD")

    @property
    def store(self) -> NotesStore:
        """Give the store of this clone."""
        return NotesStore(Git.discover(self.repository.top))


class Team:
    """A bare forge, and people who clone it; `ada` has set it up and recorded one commit."""

    def __init__(self, base: Path, *, object_format: str = "sha1") -> None:
        self.base = base
        self.forge = at(base / "forge.git")
        seed = Repository(base / "seed", object_format=object_format)
        seed.git("init", "-q", "--bare", f"--object-format={object_format}", str(self.forge.top))
        for setting in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
            self.forge.git("config", setting, "true")
        self.ada = self.clone("ada")
        self.ada.repository.write("README", "# Here\n")
        self.ada.repository.commit("first")
        assert self.ada.agentprov("init", "--commit").status == 0
        self.first = self.ada.record("one")
        self.ada.repository.git("push", "-q", "origin", "HEAD:main")
        self.forge.git("symbolic-ref", "HEAD", "refs/heads/main")
        assert self.ada.agentprov("sync").status == 0

    def clone(self, name: str, *options: str, source: Path | None = None) -> Person:
        """Clone by the transport that a server would speak."""
        url = (source or self.forge.top).as_uri()
        at(self.base).git("clone", "-q", *options, url, name)
        return Person(at(self.base / name), self.base / f"{name}-keys")

    def tip(self) -> str:
        """Give the forge's notes commit."""
        return self.forge.git("rev-parse", "--verify", NOTES_REF)
