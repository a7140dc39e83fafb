"""Honest histories of many shapes: none is refused, whatever its files are called and hold."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentprov import attest
from agentprov.formats import schema
from agentprov.formats.facts import Gap
from agentprov.formats.names import path_label
from support.story import (
    HUMAN,
    JANE,
    PLAN_TEXT,
    RECORDER,
    SESSION,
    File,
    Story,
    codes,
    judge,
    made_up,
    seal,
    trust_of,
)

# Bytes that look like something else: separators, dots, escapes, other letters, no UTF-8 at all.
PATHS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=12),
        st.text(min_size=1, max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from([b"%bytes:", b"C:", b"a\\b", b"...", b".gitx", b"con", b"caf\xc3\xa9"]),
    ),
    min_size=1,
    max_size=4,
).map(b"/".join)
CONTENT = st.binary(max_size=40)
MODES = st.sampled_from(["100644", "100755", "120000"])
CHANGES = st.one_of(
    st.tuples(st.just("add"), CONTENT, st.none(), MODES),
    st.tuples(st.just("delete"), st.none(), CONTENT, MODES),
    st.tuples(st.just("modify"), CONTENT, CONTENT, MODES),
)
FILES = st.dictionaries(PATHS, CHANGES, max_size=6)


def possible(path: bytes) -> bool:
    """Say whether git could hold this path."""
    try:
        schema.path(path_label(path))
    except schema.Mismatch:
        return False
    return len(path) < 4_000


@settings(max_examples=150, deadline=None)
@given(
    files=FILES,
    planned=st.booleans(),
    closed=st.booleans(),
    during=st.booleans(),
    status=st.integers(0, 255),
    gaps=st.integers(0, 2),
)
def test_no_honest_history_is_refused(
    files: dict[bytes, tuple[str, bytes | None, bytes | None, str]],
    planned: bool,
    closed: bool,
    during: bool,
    status: int,
    gaps: int,
) -> None:
    assume(all(possible(path) for path in files))
    listed = tuple(
        File(path, after, before, mode)
        for path, (_, after, before, mode) in files.items()
        if after is None or after != before
    )
    blind = tuple(Gap("hooks-silent", SESSION.started, SESSION.started) for _ in range(gaps))
    told = Story(files=listed, planned=planned, session=replace(SESSION, gaps=blind)).tell()
    commit = told.commit()
    lines = told.lines()
    if not during:
        late = replace(told.story.facts(), during=False)
        statement = attest.generation(told.session, told.open.sha256, late, told.story.report)[0]
        lines["generation"] = seal(statement, RECORDER)
        ended = Story(
            files=listed,
            planned=planned,
            session=replace(SESSION, gaps=blind),
            ending={"generations": [], "last_sequence": 0, "exit_status": status},
        ).tell()
        lines["close"] = ended.lines()["close"]
    if not closed:
        del lines["close"]
    judgement = judge(lines, [commit], plan=PLAN_TEXT)
    assert codes(judgement) == set()
    assert judgement.verdict.exit_code == 0
    assert [item.coverage for item in judgement.verdict.commits] == ["covered"]


@settings(max_examples=50, deadline=None)
@given(st.permutations(["plan", "open", "generation", "close", "approval"]), st.data())
def test_neither_order_nor_company_makes_a_history_invalid(
    order: list[str], data: st.DataObject
) -> None:
    told = Story().tell()
    lines = told.lines() | {"approval": seal(told.approval(), JANE)}
    junk = data.draw(st.lists(st.binary(max_size=40), max_size=4))
    put = [lines[name] for name in order]
    for line in junk:
        put.insert(data.draw(st.integers(0, len(put))), line)
    judgement = judge(
        put,
        [told.commit()],
        anchor=data.draw(st.sampled_from([None, made_up("elsewhere", 40), told.commit().oid])),
        trust=trust_of(HUMAN, RECORDER, JANE),
    )
    assert judgement.verdict.exit_code == 0
