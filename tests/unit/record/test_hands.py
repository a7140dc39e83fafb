"""Whose hand a process was: commands by their text, the agent's only when nothing is unclear."""

from __future__ import annotations

from datetime import datetime

import pytest

from agentprov.formats.facts import Asked
from agentprov.record.hands import Hands
from agentprov.system.attribution.family import Kin, Process
from agentprov.system.attribution.ledger import Attributed, Opening

COMMAND = "git add -A && git commit -qm 'Add it'"
SHELL = b"/bin/bash\x1f-c\x1feval 'git add -A && git commit -qm '\"'\"'Add it'\"'\"''"


def ns(second: float) -> int:
    moment = datetime.fromisoformat("2026-01-01T00:00:00+00:00").timestamp()
    return int((moment + second) * 10**9)


def at(second: float) -> str:
    return f"2026-01-01T00:00:{second:06.3f}Z"


def process(pid: int, second: float) -> Process:
    return Process(pid, ns(second))


AGENT = Process(100, ns(1))
BASH = process(200, 10.2)
GIT = process(201, 10.3)
HOOK = process(300, 10.1)
SERVER = process(400, 2)
ORPHAN = process(500, 10.4)
KIN = {
    AGENT: Kin(AGENT, process(50, 0), b"claude\x1f-p\x1fgit add"),
    BASH: Kin(BASH, AGENT, SHELL),
    GIT: Kin(GIT, BASH, b"git\x1fcommit"),
    HOOK: Kin(HOOK, AGENT, b"sh\x1f/home/u/hook.sh"),
    SERVER: Kin(SERVER, AGENT, b"node\x1fserver.js"),
    ORPHAN: Kin(ORPHAN, process(1, 0), b"sh\x1f-c\x1fsleep"),
}
CALL = Asked(at(10), at(12), (COMMAND,))


def hand(who: Process | None, asked: list[Asked], second: float = 10.5) -> str:
    known = Attributed(complete=True, processes=KIN, root=100)
    opening = Opening(ns(second), ns(second), who, b"/r/f", None, None)
    return Hands(known, asked).opened(opening).hand


def test_what_descends_from_the_shell_that_was_given_the_command_is_the_commands() -> None:
    assert [hand(one, [CALL]) for one in (BASH, GIT)] == ["command", "command"]


def test_what_writes_beside_a_command_that_is_accounted_for_is_the_agents() -> None:
    """Its own process, a hook that began with the call, one that ran since the start."""
    assert [hand(one, [CALL]) for one in (AGENT, HOOK, SERVER)] == ["agent"] * 3


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param([], id="no-call-was-out"),
        pytest.param([Asked(at(10), at(12))], id="a-call-without-a-command"),
        pytest.param([Asked(at(10), at(12), ("make all the things",))], id="no-such-process"),
        pytest.param([CALL, Asked(at(9), at(12), ())], id="another-tool-was-out-too"),
        pytest.param([CALL, Asked(at(9), None, ())], id="another-tool-is-still-out"),
    ],
)
def test_while_anything_is_unclear_nothing_is_the_agents(asked: list[Asked]) -> None:
    assert {hand(one, asked) for one in (AGENT, SERVER)} == {"unclear"}
    assert hand(HOOK, asked) != "agent"


def test_a_process_whose_parents_are_lost_is_unclear() -> None:
    assert hand(ORPHAN, [CALL]) == "unclear"
    assert hand(None, [CALL]) == "unclear"
    assert hand(process(999, 10.4), [CALL]) == "unclear"


def test_what_a_command_left_behind_is_its_own_later_too() -> None:
    later = Asked(at(20), at(22), ("echo another command",))
    assert hand(GIT, [CALL, later], 21) == "command"


def test_a_command_that_cannot_be_found_by_its_text_still_covers_what_began_with_it() -> None:
    assert hand(GIT, [Asked(at(10), at(12), ("make all the things",))]) == "command"
