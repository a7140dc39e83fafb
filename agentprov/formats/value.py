"""Frozen values whose classes are quick to make, for modules that start-up waits for.

`dataclasses` compiles six methods for each frozen class, a third of a millisecond; the forty of
the verifying path were a fifth of what a small verification takes. Here one is compiled, the rest
is shared. To `dataclasses.fields`, `replace` and `is_dataclass` these are dataclasses.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a class what ``@dataclass(frozen=True)`` makes of it.

    Knows defaults, factories, `init=False` and ``__post_init__``; instances must have a
    ``__dict__``. Does not know `InitVar`, nor fields left out of comparison.
    """
    return _made(cls, kw_only=False)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def named_value(cls: type[T]) -> type[T]:
    """Make a class as `value` does, whose members are given by name only."""
    return _made(cls, kw_only=True)


def _made(cls: type[T], *, kw_only: bool) -> type[T]:
    made: Any = dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
    names = tuple(item.name for item in fields(made))

    def equals(self: Any, other: object) -> Any:
        if self.__class__ is not other.__class__:
            return NotImplemented
        mine, its = self.__dict__, other.__dict__
        return all(mine[name] == its[name] for name in names)

    def hashed(self: Any) -> int:
        return hash(tuple([self.__dict__[name] for name in names]))

    def shown(self: Any) -> str:
        told = ", ".join(f"{item.name}={self.__dict__[item.name]!r}" for item in kept)
        return f"{self.__class__.__qualname__}({told})"

    kept = tuple(item for item in fields(made) if item.repr)
    made.__init__ = _initialiser(made, fields(made))
    shared = {
        "__eq__": equals,
        "__hash__": hashed,
        "__repr__": shown,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
    }
    for name, method in shared.items():
        if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
            setattr(made, name, method)
    return cls


def _refuse(_self: object, name: str, *_: object) -> None:
    raise FrozenInstanceError(f"cannot change field {name!r}")


def _initialiser(cls: type, members: tuple[Field[Any], ...]) -> Any:
    given: dict[str, Any] = {"_MISSING": MISSING}
    parameters = ["self"]
    body = ["kept = self.__dict__"]
    for item in sorted(members, key=lambda item: bool(item.kw_only)):
        name = item.name
        if item.kw_only and "*" not in parameters:
            parameters.append("*")
        source = name
        if item.default_factory is not MISSING:
            given[f"_make_{name}"] = item.default_factory
            source = f"_make_{name}()"
            if item.init:
                parameters.append(f"{name}=_MISSING")
                source = f"{source} if {name} is _MISSING else {name}"
        elif item.default is not MISSING:
            given[f"_default_{name}"] = item.default
            parameters += [f"{name}=_default_{name}"] if item.init else []
            source = name if item.init else f"_default_{name}"
        elif item.init:
            parameters.append(name)
        else:
            continue
        body.append(f"kept[{name!r}] = {source}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    text = f"def __init__({', '.join(parameters)}):\n " + "\n ".join(body)
    # Names come from class bodies of ours alone, as in the standard library's own.
    exec(text, given)  # noqa: S102
    made = given["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made
