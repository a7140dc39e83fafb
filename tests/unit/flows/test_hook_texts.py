"""Rendering the hook texts, and knowing them again."""

from __future__ import annotations

import pytest

from agentprov.flows import hook_texts

ODD = ["/plain", "with space", "it's", "''", "new\nline", "raw\udcff", "$HOME `x` \\", ""]


def test_what_this_release_writes_is_known() -> None:
    texts = (hook_texts.shim(None), hook_texts.hook_program("/usr/bin/python3"))
    assert {hook_texts.template_digest(text) for text in texts} <= hook_texts.KNOWN


@pytest.mark.parametrize("value", ODD)
def test_a_baked_value_comes_out_again_and_does_not_count(value: str) -> None:
    for render in (hook_texts.shim, hook_texts.hook_program):
        text = render(value)
        assert hook_texts.baked(text) == value
        assert hook_texts.ownership(text, text) == "current"
        # Another baked value is another installation of the same text, not an edit.
        assert hook_texts.ownership(text, render("/other")) == "outdated"


def test_an_edit_is_told_from_an_older_text() -> None:
    text = hook_texts.shim(None)
    assert hook_texts.ownership(text + b"echo mine\n") == "edited"
    assert hook_texts.ownership(text.replace(b"exit 0", b"exit 1", 1)) == "edited"


@pytest.mark.parametrize(
    "text",
    [b"", b"#!/bin/sh\nexit 0\n", b"#!/bin/sh\n# calls agentprov-shim v1\n", b"\x7fELF" * 1000],
)
def test_other_peoples_hooks_are_foreign(text: bytes) -> None:
    assert hook_texts.ownership(text, hook_texts.shim(None)) == "foreign"
    assert hook_texts.baked(text) is None


def test_no_hook_is_in_two_lists() -> None:
    names = [*hook_texts.OURS, *hook_texts.PASSED_ON, *hook_texts.PASSED_ON_IF_THERE]
    assert len(names) == len(set(names))
