"""Frozen values whose classes are quick to make, for modules that start-up waits for.

`dataclasses` compiles six methods for each frozen class, a third of a millisecond; the forty of
the verifying path were a fifth of what a small verification takes. Here one is compiled, once a
few instances were made; the rest is shared, and what `dataclasses` knows of a class is made when
somebody asks for it. To `fields`, `replace` and `is_dataclass` these are dataclasses.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, field, fields, make_dataclass
from typing import Any, NamedTuple, TypeVar, dataclass_transform

T = TypeVar("T")

# Compiling an initialiser takes as long as some twenty instances without one.
_UNCOMPILED = 8


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


class _Member(NamedTuple):
    name: str
    type: str
    default: Any
    factory: Any
    init: bool
    shown: bool
    by_name: bool


class _Fields:
    """Stands for what `dataclasses` keeps of a class until it is asked for."""

    def __init__(self, cls: type, members: tuple[_Member, ...]) -> None:
        self._cls = cls
        self._members = members

    def __get__(self, _: object, __: type) -> dict[str, Field[Any]]:
        described = [(one.name, one.type, _field(one)) for one in self._members]
        plain: Any = make_dataclass(self._cls.__name__, described, init=False, repr=False, eq=False)
        found: dict[str, Field[Any]] = {item.name: item for item in fields(plain)}
        setattr(self._cls, "__dataclass_fields__", found)  # noqa: B010
        return found


def _field(member: _Member) -> Any:
    settings: dict[str, Any] = {
        "init": member.init,
        "repr": member.shown,
        # Only an order of arguments that nobody uses hangs on it.
        "kw_only": True,
    }
    if member.factory is not MISSING:
        settings["default_factory"] = member.factory
    elif member.default is not MISSING:
        settings["default"] = member.default
    return field(**settings)


def _members(cls: type, *, by_name: bool) -> tuple[_Member, ...]:
    found: dict[str, _Member] = {}
    for base in reversed(cls.__mro__[1:]):
        found.update({one.name: one for one in vars(base).get("__members__", ())})
    for name, type_ in vars(cls).get("__annotations__", {}).items():
        if str(type_).startswith("ClassVar"):
            continue
        given = vars(cls).get(name, MISSING)
        if not isinstance(given, Field):
            found[name] = _Member(name, type_, given, MISSING, True, True, by_name)
            continue
        found[name] = _Member(
            name, type_, given.default, given.default_factory, given.init, given.repr, by_name
        )
        if given.default is MISSING:
            delattr(cls, name)
        else:
            setattr(cls, name, given.default)
    return tuple(found.values())


def _made(cls: type[T], *, kw_only: bool) -> type[T]:
    made: Any = cls
    members = _members(cls, by_name=kw_only)
    names = tuple(one.name for one in members)
    shown_names = tuple(one.name for one in members if one.shown)

    def equals(self: Any, other: object) -> Any:
        if self.__class__ is not other.__class__:
            return NotImplemented
        mine, its = self.__dict__, other.__dict__
        return all(mine[name] == its[name] for name in names)

    def hashed(self: Any) -> int:
        return hash(tuple([self.__dict__[name] for name in names]))

    def shown(self: Any) -> str:
        told = ", ".join(f"{name}={self.__dict__[name]!r}" for name in shown_names)
        return f"{self.__class__.__qualname__}({told})"

    names_in_order = tuple(one.name for one in members if one.init and not one.by_name)
    made_before = 0

    def begin(self: Any, /, *args: Any, **kwargs: Any) -> None:
        # Of most classes that are loaded, one command makes few instances or none.
        nonlocal made_before
        made_before += 1
        kept = _given(members, names_in_order, args, kwargs) if made_before <= _UNCOMPILED else None
        if kept is None:
            made.__init__ = _initialiser(made, members)
            made.__init__(self, *args, **kwargs)
            return
        self.__dict__.update(kept)
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    made.__members__ = members
    made.__dataclass_fields__ = _Fields(cls, members)
    setattr(made, "__match_args__", names_in_order)  # noqa: B010
    made.__init__ = begin
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


def _given(
    members: tuple[_Member, ...],
    in_order: tuple[str, ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> dict[str, Any] | None:
    """Give the members of an instance by name; None for arguments that do not fit."""
    named = {**dict(zip(in_order, args, strict=False)), **kwargs}
    if len(named) != len(args) + len(kwargs):
        return None
    kept: dict[str, Any] = {}
    for one in members:
        if one.init and one.name in named:
            kept[one.name] = named.pop(one.name)
        elif one.factory is not MISSING:
            kept[one.name] = one.factory()
        elif one.default is not MISSING:
            kept[one.name] = one.default
        elif one.init:
            return None
    return None if named else kept


def _initialiser(cls: type, members: tuple[_Member, ...]) -> Any:
    given: dict[str, Any] = {"_MISSING": MISSING}
    parameters = ["self"]
    body = ["kept = self.__dict__"]
    for item in sorted(members, key=lambda item: item.by_name):
        name = item.name
        if item.by_name and "*" not in parameters:
            parameters.append("*")
        source = name
        if item.factory is not MISSING:
            given[f"_make_{name}"] = item.factory
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
