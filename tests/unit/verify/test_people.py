from __future__ import annotations

import pytest

from agentprov.verify.people import taken_for, who


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


@pytest.mark.parametrize(
    "other", ["\u0430da@example.com", "ad\u0251@example.com", "ADA@EXAMPLE.COM"]
)
def test_who_only_looks_like_a_person_is_taken_for_them_and_is_not_them(other: str) -> None:
    assert taken_for(other) == taken_for("mailto:ada@example.com")
    assert (who(other) == who("ada@example.com")) is other.isascii()
