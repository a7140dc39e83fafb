from __future__ import annotations

import pytest

from agentprov.verify.people import who


@pytest.mark.parametrize(
    "spelling",
    [
        "mailto:ada@example.com",
        "MAILTO:Ada@Example.COM",
        " ada@example.com\t",
        "ada@example.com.",
        "Ada Lovelace <ada@example.com>",
        "ada@ex\u200bample.com",
        "ada\uff20example.com",
        "\u202aada@example.com",
    ],
)
def test_every_spelling_of_a_person_is_that_person(spelling: str) -> None:
    assert who(spelling) == who("ada@example.com")


def test_different_people_stay_different() -> None:
    people = ["ada@example.com", "ada@example.org", "recorder of ada@example.com", "Ada", "acme CI"]
    assert len({who(person) for person in people}) == len(people)
