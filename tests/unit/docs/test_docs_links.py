"""Links in the pages lead somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import documents
from support.documents import TOP, name_of

PAGES = documents.pages()


@pytest.mark.parametrize("page", PAGES, ids=[name_of(page) for page in PAGES])
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in documents.links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(TOP), f"{link} leads out of the repository"
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in documents.anchors(target), f"{link}: no such heading"


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [TOP / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for link in documents.links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if "://" not in link and target.is_file():
                waiting.append(target)
    missed = sorted(name_of(page) for page in (TOP / "docs").rglob("*.md") if page not in reached)
    assert missed == []
