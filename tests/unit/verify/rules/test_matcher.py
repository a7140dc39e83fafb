from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprov.verify.rules import matcher
from agentprov.verify.rules.matcher import Pattern

LETTERS = "ab.é\n"
STEP = st.text(alphabet=LETTERS, min_size=1, max_size=5).filter(
    lambda text: text not in (".", "..")
)
NAME = st.lists(STEP, min_size=1, max_size=5).map("/".join)
PATTERN_STEP = st.one_of(
    st.just("**"),
    st.text(alphabet="ab.é*?", min_size=1, max_size=6).filter(
        lambda text: "**" not in text and text not in (".", "..")
    ),
)
PATTERN = st.lists(PATTERN_STEP, min_size=1, max_size=5).map("/".join)


def by_definition(pattern: list[str], name: list[str]) -> bool:
    """Match as the page says, and as slowly as it takes."""
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(by_definition(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return bool(name) and within(pattern[0], name[0]) and by_definition(pattern[1:], name[1:])


def within(pattern: str, step: str) -> bool:
    if not pattern:
        return not step
    if pattern[0] == "*":
        return any(within(pattern[1:], step[at:]) for at in range(len(step) + 1))
    return bool(step) and pattern[0] in ("?", step[0]) and within(pattern[1:], step[1:])


@given(PATTERN, NAME)
def test_it_matches_what_the_definition_matches(pattern: str, name: str) -> None:
    assert Pattern(pattern).matches(name) == by_definition(pattern.split("/"), name.split("/"))


@given(NAME.filter(lambda text: "\n" not in text))
def test_a_name_as_a_pattern_matches_itself_and_nothing_around_it(name: str) -> None:
    assert Pattern(name).matches(name)
    for other in (
        name + "x",
        "x" + name,
        name + "/a",
        "a/" + name,
        name + "\n",
        name.upper() + "É",
    ):
        assert not Pattern(name).matches(other)


@given(PATTERN, NAME, NAME)
def test_without_two_stars_nothing_matches_across_a_slash(
    pattern: str, name: str, more: str
) -> None:
    if "**" not in pattern.split("/") and Pattern(pattern).matches(name):
        assert not Pattern(pattern).matches(f"{name}/{more}")


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (
            "src/*.py",
            ["src/a.py", "src/.py"],
            ["src/a/b.py", "a/src/a.py", "src/a.PY", "src/a.pyc"],
        ),
        ("src/**", ["src", "src/a", "src/a/b"], ["srcs/a", "a/src/b"]),
        ("**/*.py", ["a.py", "x/y/a.py"], ["a.pyc", "a.py/x"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a/zz", "az"]),
        ("**", ["a", "a/b"], []),
        ("a?c", ["abc", "aéc"], ["ac", "a/c", "abbc"]),
        ("a.b", ["a.b"], ["axb"]),
        ("*b*c", ["bc", "xbxbc", "bcbc"], ["bcx", "cb"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("pkg:npm/%40acme/*", ["pkg:npm/%40acme/cli"], ["pkg:npm/@acme/cli"]),
    ],
)
def test_examples(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in yes if not Pattern(pattern).matches(name)] == []
    assert [name for name in no if Pattern(pattern).matches(name)] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "/a", "a/", "a//b", "./a", "a/..", "!a", "[ab]", "a{b,c}", "a\\b", "a**", "**a"),
        *("a|b", "(a)", "a\0", "a\n", "x" * 513, "/".join("a" * 33), "***"),
    ],
)
def test_what_looks_like_another_language_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Pattern(text)


@given(st.text(max_size=40))
def test_every_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        found = Pattern(text)
    except ValueError:
        assert matcher.why_not(text)
    else:
        assert found.matches("a") in (True, False)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 250 + "b", "a" * 12_000),
        ("/".join(["**", "a"] * 15), "a/" * 6_000 + "b"),
        ("*?" * 200 + "b", "a" * 12_000),
        ("**/" + "*a" * 200 + "b", "/".join(["a" * 100] * 120)),
    ],
)
def test_hostile_patterns_and_names_take_little_time(pattern: str, name: str) -> None:
    made = Pattern(pattern)
    began = time.perf_counter()
    assert not made.matches(name)
    # Tenths of a second at most where it was tried; without bounds it would be years.
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    "name",
    [
        *("claude-\u043epus", "claud\u0435-opus", "claude\u2010opus", "claude-opus\u200b"),
        *("claude-opus ", "claude-\uff4fpus", "claude-opus\n", "", None),
    ],
)
def test_no_lookalike_is_ever_allowed(name: str | None) -> None:
    assert not matcher.names([Pattern("**"), Pattern("claude-*")], name)
    assert matcher.names([Pattern("claude-*")], "claude-opus")


def test_letters_with_a_meaning_in_regular_expressions_have_none_here() -> None:
    for text in ("a+", "a.b", "^a", "a$", "a-b", "~a", "a&b", "#a"):
        assert Pattern(text).matches(text)
        assert not Pattern(text).matches(re.sub(r"[^a]", "a", text) + "a")
