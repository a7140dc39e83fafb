"""Payloads put at random places into random honest texts are found there; nothing raises.

The honest texts are built from words of many scripts and not taken from the corpus, the payloads
are random words: what is found cannot depend on what they say.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentprov.formats.hidden import Finding, scan
from agentprov.formats.presentation import present
from agentprov.formats.unseen import hidden_characters

LATIN = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=9)
SCRIPTS = (
    "\u05d0\u05d1\u05d2\u05d3\u05d4\u05d5",
    "\u0628\u062a\u062b\u062c\u062d\u062f",
    "\u0411\u0414\u0416\u0418\u0436\u044f",
    "\u03b4\u03b8\u03bb\u03be\u03c0\u03c3",
    "\u0915\u0916\u0917\u0918\u091a\u091b",
    "\u6f22\u5b57\u6587\u66f8\u8a08\u753b",
    "\u0e01\u0e02\u0e04\u0e07\u0e08\u0e09",
)
WORD = st.one_of(LATIN, *(st.text(script, min_size=2, max_size=6) for script in SCRIPTS))
SENTENCE = st.lists(WORD, min_size=3, max_size=12).map(lambda said: " ".join(said) + ".")
SAID = st.lists(LATIN, min_size=9, max_size=14, unique=True).map(" ".join)
BLOCK = st.one_of(
    SENTENCE,
    SENTENCE.map("## {}".format),
    st.lists(SENTENCE, min_size=1, max_size=3).map(
        lambda lines: "\n".join(f"- {x}" for x in lines)
    ),
    SENTENCE.map("> {}".format),
    SENTENCE.map("```text\n{}\n```".format),
    st.tuples(WORD, WORD).map(lambda pair: f"| {pair[0]} | {pair[1]} |\n|---|---|\n| 1 | 2 |"),
    st.tuples(WORD, LATIN).map(lambda pair: f"See [{pair[0]}](https://h.example/{pair[1]})."),
    st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}"),
)
BLOCKS = st.lists(BLOCK, min_size=0, max_size=5)

HIDING: dict[str, Callable[[str], str]] = {
    "html-comment": "<!-- {} -->".format,
    "html-declaration": "<?x {}?>".format,
    "html-hidden": '<div style="display: none">{}</div>'.format,
    "markdown-definition": "[//]: # ({})".format,
    "title": 'x [x](https://h.example "{}")'.format,
    "alt-text": "![{}](x.png)".format,
    "fence-info": "```sh {}\nls\n```".format,
    "footnote": "[^zz]: {}".format,
    "latex": "$\\textcolor{{white}}{{\\text{{{}}}}}$".format,
    "far-right": lambda said: "x" + " " * 400 + said,
    "far-down": lambda said: "x" + "\n" * 300 + said,
    "tag": lambda said: "x" + "".join(chr(0xE0000 + ord(char)) for char in said),
    "variation-selector": lambda said: (
        "x" + "".join(chr(0xE0100 + byte - 16) for byte in said.encode())
    ),
    "encoded": lambda said: base64.b64encode(said.encode()).decode(),
}
INVISIBLE = "\u200b\u2060\u00ad\u3164\u034f\u2062\u202e\u2067\x08\x1b\x00\u2028\ufeff\U000e0041"


def above(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity != "note"]


@settings(deadline=None)
@given(BLOCKS)
def test_an_honest_text_has_nothing_above_a_note(blocks: list[str]) -> None:
    assert above(scan("\n\n".join(blocks) + "\n")) == []


@pytest.mark.parametrize("kind", HIDING)
@settings(max_examples=25, deadline=None)
@given(before=BLOCKS, after=BLOCKS, said=SAID)
def test_a_payload_is_found_wherever_it_stands(
    kind: str, before: list[str], after: list[str], said: str
) -> None:
    hidden = HIDING[kind](said)
    head = "".join(f"{block}\n\n" for block in before)
    text = head + hidden + "".join(f"\n\n{block}" for block in after) + "\n"
    first, last = head.count("\n") + 1, (head + hidden).count("\n") + 1
    found = [f for f in above(scan(text)) if f.kind == f"hidden-text/{kind}"]
    assert any(first <= f.line <= last and said in f.text for f in found)


@settings(deadline=None)
@given(st.lists(LATIN, min_size=1, max_size=8), st.data())
def test_an_unseen_character_is_found_at_its_line_and_column(
    words: list[str], data: st.DataObject
) -> None:
    line = " ".join(words)
    place = data.draw(st.integers(1, len(line) - 1))
    char = data.draw(st.sampled_from(INVISIBLE))
    text = "first\n\n" + line[:place] + char + line[place:] + "\n"
    assert (3, place + 1) in [(f.line, f.column) for f in above(scan(text))]


@settings(deadline=None)
@given(BLOCKS, BLOCKS, SAID)
def test_an_id_survives_what_is_written_elsewhere(
    before: list[str], other: list[str], said: str
) -> None:
    def ids(blocks: list[str]) -> set[str]:
        text = "\n\n".join([*blocks, f"<!-- {said} -->"])
        return {finding.id for finding in above(scan(text))}

    assert ids(before) == ids(other)


@settings(deadline=None)
@given(SAID, st.sampled_from(["claude-sonnet-4", "src/auth/login.py", "jane.doe@example.com"]))
def test_a_known_name_in_other_letters_is_found(said: str, name: str) -> None:
    swapped = name.translate({ord("a"): "\u0430", ord("o"): "\u043e", ord("e"): "\u0435"})
    assume(swapped != name and swapped.lower() not in said)
    (found,) = above(scan(f"{said} {swapped} {said}\n", known=[name]))
    assert (found.kind, found.column) == ("hidden-text/lookalike", len(said) + 2)
    assert above(scan(f"{said} {name} {said}\n", known=[name])) == []


MARKS = (
    "<!-- --> <? <![CDATA[ <a <b hidden> </b> [ ]( ] [^ ]: ` ``` ~~~ | --- $ \\color{white} { } > -"
    " # &#x202e; &#65; %41 data:,x xn--a \\u0041 1. *"
)
PIECES = st.one_of(
    st.text(max_size=6), st.sampled_from([*MARKS.split(" "), " ", "\n", "\n\n", "\r", "\t"])
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_nothing_raises_and_every_place_lies_in_the_text(text: str) -> None:
    for syntax in ("markdown", "plain"):
        found = scan(text, syntax=syntax, known=["known-name"])  # type: ignore[arg-type]
        assert len({finding.id for finding in found}) == len(found)
        lines = text.split("\n")
        for finding in found:
            assert 1 <= finding.line <= finding.end_line <= len(lines)
            assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1


@settings(deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_what_is_shown_holds_nothing_unseen(text: str) -> None:
    shown = present(text.encode("utf-8", "replace"))
    for part in (shown.text, shown.remarks):
        assert not list(hidden_characters(part))
