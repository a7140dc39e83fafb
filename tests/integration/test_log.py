"""`log` names each session of a commit once."""

from __future__ import annotations

from pathlib import Path

from support.team import Team


def test_a_squash_of_one_sessions_commits_names_the_session_once(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    script = "for n in 1 2 3; do echo $n > f$n; git add f$n; git commit -qm $n; done"
    assert ada.agentprov("run", "-q", "--", "sh", "-c", script).status == 0
    other = ada.record("four")
    apart = ada.agentprov("log", "-n", "4", "--json").json()["commits"]
    ada.repository.git("reset", "-q", "--soft", "HEAD~4")
    ada.repository.git("commit", "-qm", "squashed")
    (row,) = ada.agentprov("log", "-n", "1", "--json").json()["commits"]
    assert row["coverage"] == "covered"
    assert len(ada.agentprov("show", "HEAD", "--json").json()["sessions"]) == 4
    assert apart[0]["commit"] == other
    assert row["sessions"] in (
        [apart[1]["sessions"][0], apart[0]["sessions"][0]],
        [apart[0]["sessions"][0], apart[1]["sessions"][0]],
    )
    said = ada.agentprov("log", "-n", "1").out.splitlines()
    assert len(said) == 3
