"""The report page in a real headless Chromium: what it shows, checks, and refuses to do."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats import canonical
from agentprov.serve.page import render
from agentprov.verify.output import verdict_json
from support.browser import Browser, browser
from support.command_line import agentprov
from support.repository import Repository
from support.scripted_work import workshop
from support.story import HUMAN, JANE, RECORDER, STRANGER, Key, Story, judge, seal

READY = "return document.body.dataset.ready"
HOSTILE = (
    "<img src=x onerror=document.title='owned'>\u202egnp.\u200b</script><script>evil()</script>"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


def opened(chromium: Browser, place: Path, page: str) -> Browser:
    place.write_text(page, encoding="utf-8")
    chromium.open(place.as_uri())
    chromium.until(READY)
    return chromium


def text_of(chromium: Browser, selector: str) -> str:
    return str(chromium.does(f"return document.querySelector({selector!r}).textContent"))


def badge(chromium: Browser) -> str:
    return text_of(chromium, "#checked")


def told(story: Story | None = None, *, keys: tuple[Key, ...] = (HUMAN, RECORDER, JANE)) -> Any:
    """Give the data of a page about a made-up story, with an approval."""
    tale = (story or Story()).tell()
    lines = [*tale.lines().values(), seal(tale.approval(reviewer=JANE.person), JANE)]
    facts = tale.commit()
    verdict = verdict_json(judge(lines, [facts]).verdict)
    return {
        "schema": "agentprov-report/1",
        "target": "HEAD",
        "verdict": verdict,
        "keys": [
            {
                "publicKey": base64.b64encode(key.spki).decode(),
                "person": key.person,
                "roles": sorted(key.roles),
                "source": "trust.yaml",
            }
            for key in keys
        ],
        "bundles": [line.decode() for line in lines],
        "partial": False,
        "commits": [
            {
                "commit": facts.oid,
                "subject": "Add a greeting",
                "author": "Ada <ada@example.com>",
                "committedAt": "2026-11-24T10:35:00+00:00",
                "coverage": "covered",
                "approvals": [],
            }
        ],
        "files": [
            {
                "commit": facts.oid,
                "path": file.path.decode(),
                "content": base64.b64encode(file.after).decode(),
            }
            for file in tale.story.files
            if file.after is not None
        ],
    }


def page(data: Any) -> str:
    return render(data, version="0.0.0")


def test_a_recorded_commit_is_shown_and_checked(chromium: Browser, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    repository.write("PLAN.md", "# Plan\n\nAdd a greeting.\n")
    repository.commit("first")
    agentprov("init", cwd=repository.top)
    agentprov("plan", "sign", "PLAN.md", cwd=repository.top)
    script = (
        "mkdir src; printf 'def greet():\\n    pass\\n' > src/a.py; git add -A; git commit -qm x"
    )
    agentprov("run", "--plan", "PLAN.md", "--", "sh", "-c", script, cwd=repository.top)
    agentprov("approve", "HEAD", "--yes", cwd=repository.top)
    place = tmp_path / "page.html"
    answer = agentprov("report", "-o", str(place), "--json", cwd=repository.top)
    assert (answer.status, answer.json()["bundles"]) == (0, 5)
    opened(chromium, place, place.read_text(encoding="utf-8"))
    assert badge(chromium) == "checked in this browser: 5 of 5 signatures good"
    assert "pass" in text_of(chromium, "#verdict")
    graph = text_of(chromium, "#graph svg")
    for piece in ("PLAN.md", "sh", "src/a.py", "APPROVED"):
        assert piece in graph
    assert "bytes are what was signed" in text_of(chromium, "#files")
    chromium.does("for (const d of document.querySelectorAll('details')) d.open = true")
    chromium.until("return document.querySelectorAll('.lines tr').length >= 2")
    assert "def greet():" in text_of(chromium, "#files")
    assert "signed the plan" in text_of(chromium, "#timeline")
    assert chromium.does("return performance.getEntriesByType('resource').length") == 0
    assert chromium.picture().startswith(b"\x89PNG")


def test_a_page_replaces_no_fifo_and_makes_no_directory(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    repository.write("a.txt", "one\n")
    repository.commit("first")
    assert agentprov("init", cwd=repository.top).status == 0
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for place, why in ((fifo, "a FIFO"), (tmp_path / "none" / "p.html", "no directory")):
        answer = agentprov("report", "-o", str(place), cwd=repository.top)
        assert (answer.status, why in answer.err) == (1, True), answer.err
    assert fifo.is_fifo() and not (tmp_path / "none").exists()


def test_a_page_without_content_holds_no_line_of_a_file(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    repository.commit("first")
    agentprov("init", cwd=repository.top)
    script = "echo a-line-to-keep > a.txt; git add -A; git commit -qm x"
    agentprov("run", "--", "sh", "-c", script, cwd=repository.top)
    for more, there in ((), True), (("--no-content",), False):
        place = tmp_path / "page.html"
        assert agentprov("report", *more, "-o", str(place), cwd=repository.top).status == 0
        data = json.loads(re.findall(r'id="data">(.*?)</script>', place.read_text())[0])
        contents = [base64.b64decode(file["content"]) for file in data["files"]]
        assert (b"a-line-to-keep\n" in contents) is there


def test_a_changed_record_is_refused_and_what_it_said_is_gone(
    chromium: Browser, tmp_path: Path
) -> None:
    data = told()
    assert "model" in text_of(opened(chromium, tmp_path / "good.html", page(data)), "#files")
    assert badge(chromium) == "checked in this browser: 5 of 5 signatures good"
    bundle = json.loads(data["bundles"][2])
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    assert b"hello.py" in payload
    forged = payload.replace(b"hello.py", b"jello.py")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(forged).decode()
    data["bundles"][2] = canonical.encode(bundle).decode()
    opened(chromium, tmp_path / "bad.html", page(data))
    assert badge(chromium).startswith("checked in this browser: 4 of 5 signatures good")
    assert chromium.does("return document.querySelector('#checked').dataset.state") == "bad"
    assert "jello.py" not in text_of(chromium, "#files")
    assert "the signature is not good" in text_of(chromium, "#records")


def test_other_bytes_than_those_that_were_signed_are_named(
    chromium: Browser, tmp_path: Path
) -> None:
    data = told()
    data["files"][0]["content"] = base64.b64encode(b"print('something else')\n").decode()
    opened(chromium, tmp_path / "page.html", page(data))
    assert "bytes differ from what was signed" in text_of(chromium, "#files")
    assert chromium.does("return document.querySelector('#checked').dataset.state") == "bad"


def test_a_stranger_counts_only_until_the_reader_brings_their_own_keys(
    chromium: Browser, tmp_path: Path
) -> None:
    mallory = replace(RECORDER, seed=99, person="mallory")
    data = told(Story(recorder=mallory), keys=(HUMAN, mallory, JANE))
    opened(chromium, tmp_path / "page.html", page(data))
    assert "5 of 5" in badge(chromium)
    own = "".join(
        f"- publicKey: {base64.b64encode(key.spki).decode()}\n" for key in (HUMAN, RECORDER, JANE)
    )
    chromium.does(
        "document.querySelector('textarea').value = arguments[0];"
        "document.querySelector('#recheck').click()",
        own,
    )
    chromium.until("return document.body.dataset.ready === 'theirs'")
    assert badge(chromium).startswith("checked in this browser: 2 of 5 signatures good")
    assert "a key that is not in the list" in text_of(chromium, "#records")
    data["keys"] = [key for key in data["keys"] if key["person"] != "mallory"]
    opened(chromium, tmp_path / "other.html", page(data))
    assert "2 of 5" in badge(chromium)


def test_a_plan_signed_again_does_not_stand_for_the_one_that_the_session_saw(
    chromium: Browser, tmp_path: Path
) -> None:
    data = told()
    payload = base64.b64decode(json.loads(data["bundles"][0])["dsseEnvelope"]["payload"])
    data["bundles"][0] = seal(payload, STRANGER).decode()
    data["keys"].append(
        {
            "publicKey": base64.b64encode(STRANGER.spki).decode(),
            "person": "nobody",
            "roles": [],
            "source": "x",
        }
    )
    opened(chromium, tmp_path / "page.html", page(data))
    assert badge(chromium).endswith("5 of 5 signatures good, 1 links broken")


def test_hostile_names_are_text_and_what_cannot_be_seen_is_written_out(
    chromium: Browser, tmp_path: Path
) -> None:
    data = told()
    data["target"] = data["commits"][0]["subject"] = data["commits"][0]["author"] = HOSTILE
    data["keys"][0]["person"] = HOSTILE
    data["verdict"]["findings"] = [
        {
            "code": HOSTILE, "severity": HOSTILE, "exitCode": 0, "subject": HOSTILE,
            "commit": None, "path": HOSTILE, "message": HOSTILE, "remedy": HOSTILE,
        }
    ]  # fmt: skip
    data["files"][0]["content"] = base64.b64encode(HOSTILE.encode()).decode()
    whole = page(data)
    assert whole.count("</script>") == 2
    opened(chromium, tmp_path / "page.html", whole)
    chromium.does("for (const d of document.querySelectorAll('details')) d.open = true")
    chromium.until("return document.querySelectorAll('.lines tr').length > 0")
    assert chromium.does("return document.title") == "Provenance report"
    assert chromium.does("return document.querySelectorAll('img, iframe, object').length") == 0
    assert chromium.does("return document.scripts.length") == 2
    body = text_of(chromium, "body main")
    assert "<img src=x" in body
    assert "<U+202E>gnp.<U+200B>" in body
    assert "\u202e" not in body


def test_nothing_can_run_in_it_or_leave_it(chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path / "page.html", page(told()))
    tried = """
      const tries = {markup: true};
      try { document.body.innerHTML += '<b>x</b>'; } catch { tries.markup = false; }
      const script = document.createElement('script');
      tries.ran = false;
      try { script.textContent = 'document.title = "ran"'; document.body.append(script); } catch {}
      tries.ran = document.title === 'ran';
      return tries;
    """
    assert chromium.does(tried) == {"markup": False, "ran": False}
    chromium.does(
        "window.left = null; fetch('http://127.0.0.1:9/').then(() => window.left = 'answered',"
        " (error) => window.left = 'refused');"
        "window.seen = []; document.addEventListener('securitypolicyviolation',"
        " (event) => window.seen.push(event.effectiveDirective))"
    )
    chromium.until("return window.left === 'refused'")
    chromium.does("fetch('http://127.0.0.1:9/').catch(() => {})")
    assert chromium.until("return window.seen.length && window.seen")[0] == "connect-src"


def test_signatures_of_every_shape_are_read(chromium: Browser, tmp_path: Path) -> None:
    """Numbers of an ECDSA signature may be shorter than 32 bytes, or need a leading zero."""
    data = told()
    statement = Story().plan_statement()
    keys = [replace(HUMAN, seed=seed, person=f"person {seed}") for seed in range(1000, 1200)]
    data["bundles"] = [seal(statement, key).decode() for key in keys]
    data["keys"] = [
        {
            "publicKey": base64.b64encode(key.spki).decode(),
            "person": key.person,
            "roles": [],
            "source": "x",
        }
        for key in keys
    ]
    opened(chromium, tmp_path / "page.html", page(data))
    assert badge(chromium) == "checked in this browser: 200 of 200 signatures good"


def test_the_policy_of_the_page_names_exactly_its_own_script_and_style() -> None:
    whole = page(told())
    policy = unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', whole)[0])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_squashed_and_amended_commit_tells_the_same_on_the_page_and_on_the_command_line(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = workshop(tmp_path)
    monkeypatch.setenv("AGENTPROV_HOME", str(shop.home))  # for the hooks that git starts
    git = shop.repository
    base = git.git("rev-parse", "HEAD")
    shop.work({"a.py": "def tower():\n    return 'stone'\n"}, plan="PLAN.md")
    shop.work({"b.py": "def lamp():\n    return 'light'\n"}, model="claude-opus-4-1-20250805")
    git.git("reset", "-q", "--soft", base)
    git.git("commit", "-qm", "Squashed")
    shop.does("show", "HEAD")
    git.git("commit", "-q", "--amend", "-m", "Squashed, said better")
    shown = shop.does("show", "HEAD", "--json").json()
    models = {
        file["path"]: {(r["origin"], r["model"]) for r in file["ranges"]}
        for session in shown["sessions"]
        for file in session["files"]
    }
    assert set(models) == {"a.py", "b.py"}
    place = tmp_path / "page.html"
    shop.does("report", "-o", str(place))
    opened(chromium, place, place.read_text(encoding="utf-8"))
    assert "links broken" not in badge(chromium)
    chromium.does("for (const d of document.querySelectorAll('details')) d.open = true")
    chromium.until("return document.querySelectorAll('.lines tr').length >= 4")
    files = chromium.does(
        "return [...document.querySelectorAll('details.file')].map((one) => one.innerText)"
    )
    assert len(files) == 2
    for text in files:
        path = text.split()[0]
        blamed = shop.does("blame", "--json", path).json()["ranges"]
        assert [(r["origin"], r["start"], r["end"]) for r in blamed] == [("model", 1, 2)]
        assert {model for _, model in models[path]} == {blamed[0]["model"].partition("/")[2]}
        assert text.count(f"model · {blamed[0]['basis']} · {blamed[0]['model']}") == 2
        assert "bytes are what was signed" in text
        assert "(amend), made again by the author" in text
    graph = text_of(chromium, "#graph svg")
    assert "PLAN.md" in graph
    assert all(item["model"] in graph for item in blamed)


def test_lines_of_which_two_records_say_different_things_are_nobodys(
    chromium: Browser, tmp_path: Path
) -> None:
    one = told()
    other = told(replace(Story(), session=replace(Story().session, id="another")))
    data = {**one, "bundles": [*one["bundles"]]}
    for line in other["bundles"]:
        bundle = json.loads(line)
        payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
        changed = payload.replace(b'"origin":"model"', b'"origin":"human"')
        if changed != payload:
            data["bundles"].append(seal(changed, RECORDER).decode())
    assert len(data["bundles"]) > len(one["bundles"])
    opened(chromium, tmp_path / "page.html", page(data))
    chromium.does("for (const d of document.querySelectorAll('details')) d.open = true")
    chromium.until("return document.querySelectorAll('.lines tr').length > 0")
    titles = chromium.does(
        "return [...document.querySelectorAll('.lines tr')].map((one) => one.title)"
    )
    assert any("records-disagree" in title for title in titles), titles
    assert not any(title.startswith("human") for title in titles)
