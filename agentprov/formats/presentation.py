"""What a signer is shown: a versioned pure function of a text's bytes.

The signer sees every byte that a model would read: the source itself, not what a renderer makes
of it, with line numbers, and with everything unseen written out. The digest of these shown bytes
goes into the statement with the name and version of this function (`RENDERER`), and a verifier
that has the bytes makes them again and compares.

What a search points out in the text (`hidden`) is shown after it and is no part of the digest:
the search learns, and what was signed must stay verifiable. What the signer let pass is signed by
its ids. docs/spec/presentation.md is the page; any change of the outcome for any bytes is a new
VERSION.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from agentprov.errors import MalformedInput
from agentprov.formats.hidden import Finding, Syntax, scan
from agentprov.formats.unseen import escape_unseen

VERSION = 2
RENDERER = f"agentprov-source/{VERSION}"
MAX_PLAN_BYTES = 4 * 1024 * 1024
_ESCAPES = re.compile(r"(?:<U\+[0-9A-F]{4,6}>)+\u2026?")


@dataclass(frozen=True)
class Presentation:
    """The shown text of a plan or of code, its digest, and what was found hidden in it.

    `text` ends with a newline and holds no control character but newline and tab, so that it may
    go to a terminal as it is. `sha256` is of its UTF-8 bytes.
    """

    renderer: str
    text: str
    sha256: str
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """Give the findings above note: those that need to be accepted by name."""
        return tuple(finding for finding in self.findings if finding.severity != "note")

    @property
    def remarks(self) -> str:
        """Give the findings as text that may go to a terminal as it is, after `text`."""
        return "".join(f"{line}\n" for line in _remarks(self.findings))


def present(
    content: bytes, *, syntax: Syntax = "markdown", known: Iterable[str] = ()
) -> Presentation:
    """Make the presentation of a plan, or with ``syntax="plain"`` of code or a difference.

    `known` are names with which look-alikes are compared (`hidden.scan`). Raises MalformedInput
    for bytes that are not UTF-8 or more than MAX_PLAN_BYTES. Does not look for what
    docs/spec/hidden-text.md lists as not looked for.
    """
    source = _decoded(content)
    text = _shown(content, source)
    findings = tuple(scan(source, syntax=syntax, known=known))
    return Presentation(RENDERER, text, sha256(text.encode("utf-8")).hexdigest(), findings)


def shown(content: bytes) -> str:
    """Give the shown text alone, without a search; raises MalformedInput as `present` does."""
    return _shown(content, _decoded(content))


def shown_sha256(renderer: str, content: bytes) -> str | None:
    """Make again the digest of what a renderer of ours showed; None for one that is not known.

    Raises MalformedInput for bytes that no renderer of ours shows.
    """
    source = _decoded(content)
    if renderer == RENDERER:
        text = _shown(content, source)
    elif renderer == "agentprov-source/1":
        from agentprov.formats import presentation_v1

        text = presentation_v1.shown(content, source)
    else:
        return None
    return sha256(text.encode("utf-8")).hexdigest()


def _decoded(content: bytes) -> str:
    if len(content) > MAX_PLAN_BYTES:
        raise MalformedInput(
            f"plan: {len(content)} bytes is more than the {MAX_PLAN_BYTES} allowed"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedInput(f"plan: not UTF-8: {error.reason} at byte {error.start}") from error


def _shown(content: bytes, source: str) -> str:
    return "".join(f"{line}\n" for line in _shown_lines(content, source))


def _shown_lines(content: bytes, source: str) -> Iterator[str]:
    shown = _lines(source)
    ends_with_newline = shown[-1] == ""
    if ends_with_newline:
        shown.pop()
    yield f"agentprov presentation {VERSION}"
    yield f"sha256 {sha256(content).hexdigest()}, {len(content)} bytes, {len(shown)} lines"
    for number, line in enumerate(shown, 1):
        yield f"{number:>6} | {line}"
    if not ends_with_newline:
        yield "       \\ no newline at the end"


def _remarks(findings: tuple[Finding, ...]) -> Iterator[str]:
    yield f"findings: {len(findings)}"
    for finding in findings:
        yield f"! {finding.id} ({finding.severity}, {finding.where}): {_safe(finding.message)}"
        # Characters that carry nothing are written as escapes already.
        whole = _ESCAPES.fullmatch(finding.text) is not None
        for line in [finding.text] if whole else _lines(finding.text):
            yield f"       > {line}"


def _safe(message: str) -> str:
    return escape_unseen(message).replace("\n", " ")


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in escape_unseen(text).split("\n")]
