"""Values must be to everybody what frozen dataclasses are."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from functools import cached_property

import pytest

from agentprov.formats.value import named_value, value


@value
class Point:
    x: int
    y: int = 0
    tags: tuple[str, ...] = field(default_factory=tuple)
    total: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.x + self.y)

    @cached_property
    def twice(self) -> int:
        return 2 * self.x


@dataclass(frozen=True)
class Plain:
    x: int
    y: int = 0


@value
class Other:
    x: int
    y: int = 0


def test_arguments_defaults_factories_and_what_is_made_afterwards() -> None:
    assert (Point(1).y, Point(1).tags, Point(1, 2).total) == (0, (), 3)
    assert Point(x=1, tags=("a",)).tags == ("a",)
    with pytest.raises(TypeError, match="x"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="z"):
        Point(1, z=2)  # type: ignore[call-arg]


def test_equal_by_class_and_fields_alone() -> None:
    cached = Point(1)
    assert cached.twice == 2
    assert cached == Point(1)
    assert Point(1) != Point(1, 1)
    assert Plain(1) != Other(1)
    assert Other(1) != (1, 0)


def test_the_hash_is_that_of_the_fields() -> None:
    assert hash(Other(1, 2)) == hash(Plain(1, 2))
    assert len({Point(1), Point(1), Point(2)}) == 2
    unhashable: object = [1]
    with pytest.raises(TypeError):
        hash(Other(unhashable))  # type: ignore[arg-type]


def test_nothing_changes_afterwards() -> None:
    point = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert point.x == 1


def test_shown_as_a_dataclass_is() -> None:
    assert repr(Other(1)) == "Other(x=1, y=0)"
    assert repr(Plain(1)) == "Plain(x=1, y=0)"


def test_the_standard_library_takes_it_for_a_dataclass() -> None:
    assert is_dataclass(Point)
    assert [item.name for item in fields(Point)] == ["x", "y", "tags", "total"]
    assert replace(Point(1, 2), x=5).total == 7
    assert copy.copy(Other(3)) == pickle.loads(pickle.dumps(Other(3))) == Other(3)


def test_it_can_be_asked_before_the_first_instance_and_matched_by_position() -> None:
    @value
    class Fresh:
        x: int
        y: tuple[int, ...] = field(default_factory=tuple, repr=False)

    assert [(item.name, item.init, item.repr) for item in fields(Fresh)] == [
        ("x", True, True),
        ("y", True, False),
    ]
    assert not hasattr(Fresh, "y")
    match Fresh(3):
        case Fresh(x, y):
            assert (x, y) == (3, ())
    assert repr(replace(Fresh(1), y=(2,))).endswith("Fresh(x=1)")
    with pytest.raises(TypeError):
        Fresh()  # type: ignore[call-arg]


def test_what_a_class_says_itself_stands() -> None:
    @value
    class Odd:
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    assert Odd(1) == 5
    assert hash(Odd(1)) == 7


def test_members_given_by_name_only_may_follow_inherited_defaults() -> None:
    @named_value
    class Base:
        x: int = 1

    @named_value
    class Derived(Base):
        y: int

    assert (Derived(y=2).x, Derived(y=2, x=5).x) == (1, 5)
    assert Derived(y=2) != Base()
    with pytest.raises(TypeError):
        Derived(2)  # type: ignore[misc, call-arg]


@pytest.mark.parametrize("made_before", [0, 100], ids=["first", "compiled"])
def test_the_first_instances_are_made_as_all_others(made_before: int) -> None:
    @value
    class Line:
        x: int
        y: int = 2
        tags: list[str] = field(default_factory=list)
        total: int = field(init=False)
        kind: str = field(init=False, default="line")

        def __post_init__(self) -> None:
            object.__setattr__(self, "total", self.x + self.y)

    for _ in range(made_before):
        Line(0)
    wrong: list[tuple[tuple[int, ...], dict[str, int]]] = [
        ((), {}),
        ((1, 2), {"x": 1}),
        ((1, 2, 3, 4), {}),
        ((1,), {"z": 1}),
        ((1,), {"total": 1}),
        ((1,), {"kind": 1}),
    ]
    made = [Line(1), Line(x=1), Line(1, 2, []), Line(1, tags=[])]
    assert all(line == made[0] for line in made)
    assert list(vars(made[0])) == ["x", "y", "tags", "kind", "total"]
    assert (made[0].total, made[0].kind) == (3, "line")
    assert made[0].tags is not made[1].tags
    for args, kwargs in wrong:
        with pytest.raises(TypeError, match="Line"):
            Line(*args, **kwargs)  # type: ignore[arg-type]
    assert Line(5) == Line(5, 2)
