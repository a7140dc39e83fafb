"""A model is declared compromised: everything of it is found in ten repositories, then refused."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from support.scripted_work import Workshop, workshop

BAD = "claude-sonnet-4-20250514"
GOOD = "claude-opus-4-1-20250805"
REPOSITORIES = 10
_SCHEMA = Path(__file__).resolve().parents[1] / "data" / "sarif" / "sarif-schema-2.1.0.json"
SARIF = jsonschema.Draft4Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> list[Workshop]:
    """Ten repositories of one person; the bad model worked in every second one."""
    base = tmp_path_factory.mktemp("incident")
    made = []
    for number in range(REPOSITORIES):
        shop = workshop(base / f"s{number}", base / "home")
        bad = number % 2 == 0
        shop.work(
            {"src/part.py": f"def part():\n    return {number}\n"},
            model=BAD if bad else GOOD,
            plan="PLAN.md",
        )
        made.append(shop)
    # In one of them all of it is gone again, in another it was renamed.
    made[0].repository.git("rm", "-q", "src/part.py")
    made[0].repository.commit("Remove it")
    made[2].repository.git("mv", "src/part.py", "src/moved.py")
    made[2].repository.commit("Move it")
    return made


def everywhere(shops: list[Workshop], *words: str) -> list[str]:
    named = [word for shop in shops for word in ("--repository", str(shop.repository.top))]
    return ["query", *words, *named]


def test_one_command_lists_every_surviving_line_file_commit_and_plan(shops: list[Workshop]) -> None:
    found = shops[0].does(*everywhere(shops, "--model", f"anthropic/{BAD}", "--json")).json()
    assert len(found["repositories"]) == REPOSITORIES
    assert all(item["asOf"] and item["trust"]["source"] for item in found["repositories"])
    certain = {(item["repository"], item["path"], item["lines"]) for item in found["certain"]}
    assert {(path, lines) for _, path, lines in certain} == {
        ("src/part.py", 2), ("src/moved.py", 2),
    }  # fmt: skip
    assert found["totals"]["certain"] == {
        "lines": 8, "files": 4, "commits": 4, "sessions": 4, "plans": 1, "repositories": 4,
    }  # fmt: skip
    assert {item["plan"] for item in found["certain"]} == {"PLAN.md"}
    ever = shops[0].does(*everywhere(shops, "--model", BAD, "--history", "--json")).json()
    assert ever["totals"]["certain"]["repositories"] == 5


def test_the_answer_is_one_sarif_log_with_a_run_for_each_repository(shops: list[Workshop]) -> None:
    log = shops[0].does(*everywhere(shops, "--model", BAD, "--format", "sarif")).json()
    SARIF.validate(log)
    assert len(log["runs"]) == REPOSITORIES
    hit = [run for run in log["runs"] if any(r["level"] == "warning" for r in run["results"])]
    heads = {run["versionControlProvenance"][0]["revisionId"] for run in hit}
    assert heads == {shops[n].repository.git("rev-parse", "HEAD") for n in (2, 4, 6, 8)}
    for run in hit:
        for result in run["results"]:
            assert result["properties"]["planDigest"]
            assert result["properties"]["commit"] in result["message"]["text"] or (
                result["properties"]["commit"][:12] in result["message"]["text"]
            )


def test_another_denies_the_model_and_the_gate_then_refuses_its_commits(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    git = shop.repository
    git.write(
        ".agentprov/policy.yaml",
        "# ours\nversion: 1\nmode: enforce\nrequire:\n  coverage: [covered, human]\n",
    )
    git.commit("Adopt agentprov")
    git.git("branch", "target")
    shop.work({"a.py": "a = 1\n"}, model=BAD)
    bad = ("gate", "target..HEAD", "--target", "target", "--json")
    assert shop.say(*bad).status == 0

    git.git("checkout", "-q", "-b", "incident", "target")
    shop.does("trust", "deny-model", f"anthropic/{BAD}", "--reason", "advisory 12")
    policy = (git.top / ".agentprov" / "policy.yaml").read_text()
    assert policy.startswith("# ours\n") and "# advisory 12\n" in policy
    git.commit("Deny a model")
    git.git("branch", "-f", "target")
    git.git("checkout", "-q", "main")

    refused = shop.say(*bad)
    assert refused.status == 13
    missed = [f for f in refused.json()["findings"] if f["code"] == "policy-model"]
    assert [f["message"] for f in missed] == [
        f"rule 'no anthropic/{BAD}': the model 'anthropic/{BAD}' is denied"
    ]
    git.git("checkout", "-q", "-b", "other", "target")
    shop.work({"b.py": "b = 1\n"}, model=GOOD)
    assert shop.say("gate", "target..other", "--target", "target").status == 0


@pytest.mark.parametrize(
    ("before", "holds"),
    [
        ("version: 1\nmode: observe\n", True),
        ("version: 1\nmode: observe", True),
        (
            "version: 1\nrules:\n# first\n- name: a\n  require: {plan: signed}\nmode: observe\n",
            True,
        ),
        ("version: 1\nmode: enforce\nrules:\n    - {name: a, require: {plan: signed}}\n", True),
        ("version: 1\nmode: enforce\nrules: [{name: a, require: {plan: signed}}]\n", False),
        (
            "version: 1\nmode: enforce\nrules: # mine\n  - {name: a, require: {plan: signed}}\n",
            True,
        ),
        ("{version: 1, mode: enforce}\n", False),
        ("version: 1\n", None),
    ],
)
def test_a_rule_is_added_to_what_people_wrote_or_not_at_all(
    tmp_path: Path, before: str, holds: bool | None
) -> None:
    shop = workshop(tmp_path)
    path = shop.repository.write(".agentprov/policy.yaml", before)
    answer = shop.say("trust", "deny-model", "*/x", "--reason", "why\n- name: b")
    assert answer.status == (16 if holds is None else 0 if holds else 1), answer.err
    if not holds:
        assert path.read_text() == before
        return
    after = path.read_text()
    assert [line for line in after.splitlines() if line in before.splitlines()] == (
        before.splitlines()
    )
    assert shop.say("trust", "deny-model", "*/x", "--reason", "again").status == 1
    assert ("only observes" in answer.err) == ("observe" in before)
