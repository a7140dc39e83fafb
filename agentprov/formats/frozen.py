"""Frozen fact values to plain JSON values and back, for what we keep between processes.

Not a wire format: only `sessions/<id>/state.json` and the facts in the journal of the same machine
are written this way.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar, cast

from agentprov.errors import MalformedInput
from agentprov.formats.names import label_path, path_label

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Give dictionaries, lists, text, integers, booleans and None for a frozen value.

    Bytes are git paths here, and become their labels.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, bytes):
        return path_label(value)
    return value


def from_plain(kind: type[T], value: Any) -> T:
    """Rebuild a frozen value; members that are not there take their defaults.

    Raises MalformedInput when the value does not fit the type.
    """
    try:
        return cast("T", _build(kind, value))
    except (TypeError, KeyError, ValueError) as error:
        raise MalformedInput(f"kept state does not fit {kind.__name__}: {error}") from error


def _build(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin is tuple:
        arguments = typing.get_args(kind)
        if not isinstance(value, list):
            raise TypeError("a list was expected")
        if len(arguments) == 2 and arguments[1] is ...:
            return tuple(_build(arguments[0], item) for item in value)
        return tuple(_build(k, item) for k, item in zip(arguments, value, strict=True))
    if origin in (types.UnionType, typing.Union):
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        return _build(next(k for k in options if k is not type(None)), value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise TypeError(f"an object was expected for {kind.__name__}")
        hints = typing.get_type_hints(kind)
        return kind(
            **{
                f.name: _build(hints[f.name], value[f.name])
                for f in dataclasses.fields(kind)
                if f.name in value
            }
        )
    if kind is bytes:
        return label_path(value)
    if kind in (str, int, bool) and not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} was expected")
    return value
