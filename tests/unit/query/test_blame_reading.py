"""What git blame says is read whole, and a line is given to nobody in doubt."""

from __future__ import annotations

import pytest

from agentprov.query.blame import Source, Span, attribute, read_incremental, read_porcelain

A, B = "a" * 40, "b" * 40
PORCELAIN = f"""\
{A} 3 1 2
author Ada
author-mail <ada@example.com>
author-time 1700000000
author-tz +0100
summary First
boundary
filename "od\\td.py"
\tone
{A} 4 2
\ttwo\r
{B} 1 3 1
author Bob
author-mail <bob@example.com>
author-time x
author-tz +0000
summary
filename new.py
\t\tthree
{A} 9 4 1
filename other.py
\t
""".encode()


def test_porcelain_gives_commit_path_and_line_of_each() -> None:
    lines, commits = read_porcelain(PORCELAIN)
    told = [(line.number, line.commit, line.path, line.source, line.boundary) for line in lines]
    assert told == [
        (1, A, "od\td.py", 3, True),
        (2, A, "od\td.py", 4, True),
        (3, B, "new.py", 1, False),
        (4, A, "other.py", 9, True),
    ]
    assert [line.content for line in lines] == [b"one", b"two\r", b"\tthree", b""]
    assert commits[A].author == "Ada <ada@example.com>"
    assert commits[B].seconds == 0


def test_incremental_gives_stretches_under_their_own_names() -> None:
    out = f'{A} 3 1 2\nauthor filename x\nsummary s\nfilename "a\\"b"\n{B} 1 3 7\nfilename c\n'
    found = list(read_incremental(out.encode()))
    assert [tuple(item) for item in found] == [(1, 2, A, 'a"b', 3), (3, 7, B, "c", 1)]


def source(digest: str = "d", *, verified: bool = True) -> Source:
    return Source(digest, "s", "agent", "PLAN.md", "0" * 64, "rec", verified, None, None)


def span(origin: str, model: str | None = None, *, who: Source | None = None) -> Span:
    return Span(2, 4, origin, "reported", model, None, who or source())


@pytest.mark.parametrize(
    ("spans", "line", "origin", "why"),
    [
        ([], 3, "unknown", "no-record"),
        ([span("model", "m")], 1, "unknown", "no-record"),
        ([span("model", "m")], 5, "unknown", "no-record"),
        ([span("model", "m")], 2, "model", None),
        ([span("model", "m"), span("unknown")], 3, "model", None),
        ([span("model", "m"), span("model", "m", who=source("e"))], 3, "model", None),
        ([span("model", "m"), span("model", "n")], 3, "unknown", "records-disagree"),
        ([span("model", "m"), span("human")], 3, "unknown", "records-disagree"),
        ([span("unknown"), span("unknown")], 3, "unknown", None),
        (
            [span("unknown"), span("unknown", who=source()._replace(session="other"))],
            3,
            "unknown",
            "several-sessions",
        ),
        ([span("model", "m", who=source(verified=False))], 3, "unknown", "not-verified"),
        (
            [span("model", "m", who=source(verified=False)._replace(why="link-not-replayed"))],
            3,
            "unknown",
            "link-not-replayed",
        ),
        ([span("human", who=source(verified=False)), span("model", "m")], 3, "model", None),
    ],
)
def test_a_line_is_given_to_nobody_in_doubt(
    spans: list[Span], line: int, origin: str, why: str | None
) -> None:
    found = attribute(spans, line)
    assert (found.origin, found.why) == (origin, why)
