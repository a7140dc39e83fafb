"""git-ai's notes, version 3: what is read, what is refused, and what we write reads back."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats.foreign import git_ai
from agentprov.formats.foreign.claims import Author, Claim, ModelName

DATA = Path(__file__).resolve().parents[3] / "data" / "interop"
NOTE = (DATA / "git-ai-sessions.txt").read_bytes()
OLD = (DATA / "git-ai-prompts.txt").read_bytes()


def test_sessions_people_and_sessions_without_a_record_are_told_apart() -> None:
    record = git_ai.parse(NOTE)
    assert record.authors == (
        Author(
            "s_1b36c35afd9ad7", "agent", "claude", None, ModelName("anthropic", "claude-opus-5")
        ),
        Author("h_9e71e8b09f7cf2", "human"),
        Author("s_0c41aa8de90f35", "agent", "cursor", None, None),
        Author("s_ffffffffffffff", "agent", None, None, None),
    )
    assert record.claims == (
        Claim(b"src/app.py", 1, 2, "s_1b36c35afd9ad7"),
        Claim(b"src/app.py", 4, 4, "s_1b36c35afd9ad7"),
        Claim(b"src/app.py", 3, 3, "h_9e71e8b09f7cf2"),
        Claim(b"docs/read me.md", 1, 1, "s_0c41aa8de90f35"),
        Claim(b"docs/read me.md", 2, 2, "s_ffffffffffffff"),
    )
    assert record.complaints == ()


def test_older_notes_with_prompts_are_read_without_their_conversations() -> None:
    record = git_ai.parse(OLD)
    assert [author.key for author in record.authors] == ["d9978a8723e02b52", "a1b2c3d"]
    assert record.authors[0].model == ModelName("openai", "gpt-5")
    assert "hunter2" not in repr(record) and "Jo Doe" not in repr(record)


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("src/app.py", "../app.py", "path-refused"),
        ("src/app.py", "/etc/passwd", "path-refused"),
        ("src/app.py", "a/.git/config", "path-refused"),
        ("1-2,4", "0-2", "range-refused"),
        ("1-2,4", "5-2", "range-refused"),
        ("1-2,4", "1-99999999999", "range-refused"),
        ("1-2,4", "\u0661-2", "range-refused"),
        ("  h_9e71e8b09f7cf2 3", "  x_9e71e8b09f7cf2 3", "key-unknown"),
        ("  h_9e71e8b09f7cf2 3", "  nothing", "key-unknown"),
    ],
)
def test_an_entry_that_cannot_be_used_is_left_out_and_told(
    before: str, after: str, code: str
) -> None:
    record = git_ai.parse(NOTE.decode().replace(before, after, 1).encode())
    assert [complaint.code for complaint in record.complaints] == [code]
    assert len(record.claims) < len(git_ai.parse(NOTE).claims)
    assert not any(b".." in claim.path or b".git" in claim.path for claim in record.claims)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"src/app.py\n",
        NOTE.replace(b"\n---\n", b"\n"),
        NOTE.replace(b"authorship/3.0.0", b"authorship/2.0.0"),
        NOTE.replace(b'"prompts": {}', b'"prompts": {}, "prompts": {}'),
        NOTE + b"}",
        NOTE.replace(b"src/app", b"src/\xffapp"),
        b"---\n[]",
        b"---\n" + b"[" * 100_000,
    ],
)
def test_what_is_no_note_of_version_3_is_refused(note: bytes) -> None:
    with pytest.raises(MalformedInput):
        git_ai.parse(note)


def test_a_note_with_endless_ranges_is_refused() -> None:
    many = b"a\n  s_1b36c35afd9ad7 " + b"1," * (git_ai.MAX_RANGES + 1)
    with pytest.raises(MalformedInput, match="ranges"):
        git_ai.parse(many + b'\n---\n{"schema_version": "authorship/3.0.0"}')


def test_a_name_that_could_be_a_secret_or_an_escape_is_not_taken_over() -> None:
    for word in (b"sk-ant-api03-abcdefghijklmnop", b"x\\u001b[2J", b"a" * 300):
        record = git_ai.parse(NOTE.replace(b"claude-opus-5", word))
        assert record.authors[0].model is None
        assert record.authors[0].tool == "claude"


def test_what_we_write_is_what_we_read() -> None:
    session = git_ai.Written(
        tool="claude-code",
        conversation="3f2a",
        model="claude-opus-5",
        trace="ab" * 32,
        attributes={"agentprov.generation": "sha256:" + "ab" * 32},
        ranges=((b"b c.py", 3, 4), (b"a.py", 1, 1), (b"b c.py", 1, 2), (b"b c.py", 9, 9)),
    )
    note = git_ai.write("1" * 40, "1.0", [session])
    assert note.decode().split("\n---\n")[0].split("\n") == [
        "a.py",
        f"  {git_ai.session_key('claude-code', '3f2a')}::t_abababababab{'ab'} 1",
        '"b c.py"',
        f"  {git_ai.session_key('claude-code', '3f2a')}::t_abababababab{'ab'} 1-4,9",
    ]
    record = git_ai.parse(note)
    assert {(claim.path, claim.start, claim.end) for claim in record.claims} == {
        (b"a.py", 1, 1),
        (b"b c.py", 1, 4),
        (b"b c.py", 9, 9),
    }
    assert record.authors[0].model == ModelName("anthropic", "claude-opus-5")
    assert note == git_ai.write("1" * 40, "1.0", [session])


@pytest.mark.parametrize("path", [b"a\nb", b'say "x"', b" a", b"a ", b"\xff", b"---", b'"a"'])
def test_a_path_that_their_reader_would_take_for_another_is_not_written(path: bytes) -> None:
    assert not git_ai.can_hold(path)
    session = git_ai.Written("t", "c", "m", "0" * 64, {}, ((path, 1, 1), (b"ok", 1, 1)))
    assert [
        claim.path for claim in git_ai.parse(git_ai.write("1" * 40, "1", [session])).claims
    ] == [b"ok"]
