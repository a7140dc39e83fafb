"""SARIF, JUnit and Markdown: what they say, and that nothing in a verdict can bend them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from agentprov.formats.evidence import TrustedTime
from agentprov.verify.catalogue import CATALOGUE
from agentprov.verify.finding import (
    ApprovalRef,
    CommitVerdict,
    Finding,
    PlanRef,
    Problem,
    Unproven,
    Verdict,
    finding,
)
from agentprov.verify.output_junit import verdict_junit
from agentprov.verify.output_markdown import MAX_BYTES, span, verdict_markdown
from agentprov.verify.output_sarif import verdict_sarif
from support.story import Story, judge, made_up

SCHEMA = Path(__file__).resolve().parents[2] / "data" / "sarif" / "sarif-schema-2.1.0.json"
COMMIT = made_up("commit", 40)
OTHER = made_up("another commit", 40)
HOSTILE = [
    "\x1b]0;owned\x07\x1b[2J",
    "a\r\nb\n\n# heading\n<script>alert(1)</script>",
    "</failure></testcase>]]><!--&amp;",
    "`` ` ``` `code` ~~~ ````",
    "[click](https://evil.example) ![x](https://evil.example/p.png)",
    "{0} {name} \\[x](y)",
    "@everyone #1 GH-1 /close !1 $1$",
    "\x00\x08\ufffe\uffff\udcff\ud800",
    "\u202egnp.exe \u200b\u2066x\u2069",
    "| a | b |\n|---|---|",
    "```suggestion\nrm -rf\n```",
    "  ",
    "",
]


def verdict_of(*texts: str, findings: Sequence[Finding] = (), **changed: Any) -> Verdict:
    """Give a verdict in which every place that can hold foreign text holds some."""
    text = " ".join(texts) or "x"
    found = findings or [
        finding(Problem("content-differs", text, text or None), subject=text, commit=COMMIT),
        finding(Problem("session-gaps", text), subject=text, commit=None),
    ]
    time = TrustedTime(datetime(2026, 1, 1, tzinfo=UTC), text)
    made = Verdict(
        target=text,
        findings=tuple(found),
        commits=(
            CommitVerdict(
                COMMIT,
                "covered",
                plans=(PlanRef(text, "ab" * 32, "cd" * 32, text, "2026-01-01T00:00:00Z", time),),
                approvals=(
                    ApprovalRef(
                        "ab" * 32,
                        text,
                        "human",
                        "APPROVED",
                        "2026-01-01T00:00:00Z",
                        None,
                        True,
                        False,
                    ),
                ),
            ),
            CommitVerdict(OTHER, "uncovered"),
        ),
        not_proven=(Unproven(text, text, "observed"),),
        trust_sha256="ef" * 32,
        trust_source=text,
        as_of="2026-11-24T12:00:00Z",
        policy_sha256="01" * 32,
        policy_source=text,
    )
    return replace(made, **changed)


@pytest.fixture(scope="module")
def schema() -> Any:
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def raw(text: str) -> list[str]:
    """Give the characters that no output may hold as they are."""
    return [
        char
        for char in text
        if char != "\n" and (not char.isprintable() or "\u2028" <= char <= "\u202e")
    ]


# --- SARIF


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("rules", [None, ".agentprov/policy.yaml"])
def test_sarif_is_valid_whatever_the_verdict_says(
    schema: Any, text: str, rules: str | None
) -> None:
    log = json.loads(json.dumps(verdict_sarif(verdict_of(text), rules_path=rules)))
    schema.validate(log)
    shown = json.dumps(log, ensure_ascii=False)
    assert raw(shown) == []


def test_the_schema_refuses_what_is_no_sarif(schema: Any) -> None:
    log = verdict_sarif(verdict_of())
    log["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(log)


def test_every_finding_is_one_result_of_a_rule_that_is_there() -> None:
    verdict = verdict_of()
    (run,) = verdict_sarif(verdict)["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CATALOGUE)
    assert all(rule["helpUri"].endswith(f"/findings#{rule['id']}") for rule in rules)
    assert [(item["ruleId"], item["level"]) for item in run["results"]] == [
        (item.code, item.severity) for item in verdict.findings
    ]
    for item in run["results"]:
        assert rules[item["ruleIndex"]]["id"] == item["ruleId"]
    assert run["invocations"][0]["exitCode"] == verdict.exit_code == 12
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert [note["message"]["text"] for note in notes] == ["Not proven: x: x"]


def places(verdict: Verdict, **named: Any) -> list[str | None]:
    results = verdict_sarif(verdict, **named)["runs"][0]["results"]
    found = [item["locations"][0].get("physicalLocation") for item in results]
    return [item and item["artifactLocation"]["uri"] for item in found]


def test_a_file_is_named_only_where_the_finding_is_about_one() -> None:
    verdict = verdict_of(
        findings=[
            finding(Problem("content-differs", "m", "src/a b:c.py"), subject="s", commit=COMMIT),
            finding(Problem("content-differs", "m", "%bytes:%ff"), subject="s", commit=COMMIT),
            finding(Problem("content-differs", "m", "%bytes:nonsense%"), subject="s", commit=None),
            finding(Problem("record-missing", "src/a.py"), subject="src/a.py", commit=COMMIT),
        ]
    )
    named = ["src/a%20b%3Ac.py", "%FF", "%25bytes%3Anonsense%25"]
    assert places(verdict) == [*named, None]
    assert places(verdict, rules_path=".agentprov/policy.yaml") == [
        *named,
        ".agentprov/policy.yaml",
    ]


def prints(verdict: Verdict) -> list[str]:
    results = verdict_sarif(verdict)["runs"][0]["results"]
    return [item["partialFingerprints"]["agentprovFinding/v1"] for item in results]


def test_a_result_keeps_its_fingerprint_and_shares_it_with_none() -> None:
    one = finding(Problem("content-differs", "first wording", "a"), subject="s", commit=COMMIT)
    others = [
        one._replace(path="b"),
        one._replace(path=None),
        one._replace(commit=OTHER),
        one._replace(subject="sa", path=None),
        one._replace(code="change-differs"),
        one,
    ]
    found = prints(verdict_of(findings=[one, *others]))
    assert len(set(found)) == len(found)
    reworded = one._replace(message="other wording", remedy="r", severity="warning")
    assert prints(verdict_of(findings=[*others[:3], reworded]))[3] == found[0]


def test_a_name_can_form_no_link_and_no_placeholder_in_a_message() -> None:
    text = verdict_sarif(verdict_of("[a](https://evil.example) {0}"))["runs"][0]["results"][0]
    assert "\\[a\\](https" in text["message"]["text"]
    assert "{{0}}" in text["message"]["text"]


# --- JUnit


@pytest.mark.parametrize("text", HOSTILE)
def test_junit_is_well_formed_whatever_the_verdict_says(text: str) -> None:
    report = verdict_junit(verdict_of(text))
    assert report.isascii()
    root = ET.fromstring(report)
    assert {element.tag for element in root.iter()} == {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "system-out",
    }  # fmt: skip
    said = "".join(root.itertext()) + "".join(v for e in root.iter() for v in e.attrib.values())
    assert raw(said) == []


@given(st.text(max_size=60))
def test_no_text_breaks_junit(text: str) -> None:
    ET.fromstring(verdict_junit(verdict_of(text)))


def cases(verdict: Verdict) -> dict[str, bool]:
    """Give classname and name of each case, and whether it failed."""
    root = ET.fromstring(verdict_junit(verdict))
    (suite,) = root
    found = {
        f"{case.get('classname')} {case.get('name')}": case.find("failure") is not None
        for case in suite.iter("testcase")
    }
    assert root.get("tests") == suite.get("tests") == str(len(found))
    assert root.get("failures") == suite.get("failures") == str(sum(found.values()))
    return found


def test_junit_has_a_case_for_the_verdict_each_commit_and_each_code() -> None:
    assert cases(verdict_of()) == {
        "agentprov.verdict holds": True,
        f"agentprov.commit {COMMIT}": True,
        f"agentprov.commit {OTHER}": False,
        "agentprov.finding content-differs": True,
        "agentprov.finding session-gaps": False,
    }


def test_junit_fails_exactly_where_the_exit_code_does() -> None:
    warned = verdict_of(
        findings=[finding(Problem("session-gaps", "m"), subject="s", commit=COMMIT)]
    )
    assert warned.exit_code == 0
    assert not any(cases(warned).values())
    no_commit = finding(Problem("trust-empty", "m"), subject="s", commit=None)
    assert cases(verdict_of(findings=[no_commit], commits=())) == {
        "agentprov.verdict holds": True,
        "agentprov.finding trust-empty": True,
    }


# --- Markdown

RENDERER = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table"])
TAGS = {"h3", "h4", "p", "ul", "li", "code", "strong"}


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_makes_no_element_that_is_not_ours(text: str) -> None:
    report = verdict_markdown(verdict_of(text))
    assert raw(report) == []
    html = RENDERER.render(report)
    assert set(re.findall(r"<([a-z0-9]+)", html)) <= TAGS, html


@given(st.text(alphabet="`~\\<>&[]()!@#*_-|\n\r ax\u202e\x00", max_size=40))
def test_no_text_ends_its_code_span(text: str) -> None:
    html = RENDERER.render(f"- **x** {span(text)} end")
    assert set(re.findall(r"<([a-z0-9]+)", html)) == {"ul", "li", "strong", "code"}
    assert html.count("<code>") == 1
    assert html.rstrip().endswith("</code> end</li>\n</ul>")


def test_markdown_fits_a_comment_and_says_where_it_was_cut() -> None:
    many = [
        finding(Problem("session-gaps", f"\U0001f600{number}" * 30), subject="s", commit=COMMIT)
        for number in range(2_000)
    ]
    error = finding(Problem("content-differs", "the one that matters"), subject="s", commit=COMMIT)
    report = verdict_markdown(verdict_of(findings=[*many, error]))
    assert MAX_BYTES * 0.9 < len(report.encode()) <= MAX_BYTES
    assert "the one that matters" in report
    kept, _, said = report.rpartition("\n\n")
    left = int(re.fullmatch(r"\*\*Cut here\*\*: (\d+) more lines .*", said)[1])  # type: ignore[index]
    whole = verdict_markdown(verdict_of(findings=[*many, error]), limit=10**9)
    assert whole.startswith(kept)
    assert "Cut here" not in whole
    assert kept.count("session-gaps") + left > 2_000


def test_one_endless_text_is_cut_by_itself() -> None:
    report = verdict_markdown(verdict_of("x" * 10**6))
    assert len(report.encode()) < 20_000
    assert "(cut)" in report
    assert "Not proven" in report


# --- all


def test_a_real_verdict_goes_through_every_format(schema: Any) -> None:
    told = Story().tell()
    judged = judge(told.lines(), [told.commit()]).verdict
    schema.validate(verdict_sarif(judged))
    assert not any(cases(judged).values())
    assert "holds (exit code 0)" in verdict_markdown(judged)
    assert judged.commits[0].commit in verdict_markdown(judged)
