"""What the judge makes of what remotes did: it is said, and is never an error."""

from __future__ import annotations

import pytest

from agentprov.verify.finding import Problem
from agentprov.verify.remotes import RemoteFacts
from support.story import Story, codes, judge

TOLD = Story().tell()
COMMIT = TOLD.commit()
ASKED = "2026-11-20T10:00:00Z"


@pytest.mark.parametrize("code", ["notes-rollback", "notes-missing", "stale-checkpoint"])
def test_what_a_remote_did_is_a_warning_beside_records_that_hold(code: str) -> None:
    facts = (RemoteFacts("origin", ASKED, Problem(code, "it did")), RemoteFacts("fork", ASKED))
    judgement = judge(TOLD.lines(), [COMMIT], remotes=facts)
    assert codes(judgement, "warning") == {code}
    assert judgement.verdict.exit_code == 0
    (found,) = judgement.verdict.findings
    assert found.subject == "records of origin"


def test_a_missing_record_names_the_remotes_that_were_asked_for_it() -> None:
    facts = (RemoteFacts("origin", ASKED), RemoteFacts("upstream", ASKED))
    judgement = judge({}, [COMMIT], remotes=facts)
    said = {item.code: item.message for item in judgement.verdict.findings}
    assert judgement.verdict.exit_code == 10
    assert said["provenance-missing"].endswith(
        f"(origin was last asked {ASKED}; upstream was last asked {ASKED})"
    )


def test_where_nobody_was_asked_nothing_is_added() -> None:
    judgement = judge({}, [COMMIT])
    assert all("asked" not in item.message for item in judgement.verdict.findings)
