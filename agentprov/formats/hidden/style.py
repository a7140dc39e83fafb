"""Which inline styles make an element's text unseen: hidden, of no size, colourless, far away."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import unescape

_NOISE = re.compile(r"/\*.*?\*/|!important|\\(?=[a-z-])", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"(-?[0-9]*\.?[0-9]+)\s*(px|em|rem|ex|ch|pt|vh|vw|cm|mm|in|%)?")
_FAR = {"px": 600, "pt": 450, "em": 40, "rem": 40, "ex": 60, "ch": 80, "cm": 20, "mm": 200, "in": 8}
_WHITE = frozenset(
    {"white", "snow", "ivory", "ghostwhite", "floralwhite", "whitesmoke", "transparent"}
)


def hiding(style: str, attributes: Mapping[str, str]) -> str | None:
    """Say what of an inline style, or of old colour attributes, hides the text; None if nothing."""
    declared = _declarations(style)
    for name, value in declared.items():
        test = _TESTS.get(name)
        if test is not None and test(value):
            return f"{name}:{value}"
    if _shrunk(declared):
        return "no size and nothing let out"
    colour = _colour(declared.get("color", attributes.get("color", "")))
    back = declared.get(
        "background-color", declared.get("background", attributes.get("bgcolor", ""))
    )
    if colour == "transparent":
        return "color:transparent"
    if colour and back:
        return f"color:{colour} on itself" if _colour(back) == colour else None
    return "color:white on white" if colour == "white" else None


def _declarations(style: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in _NOISE.sub("", unescape(style)).lower().split(";"):
        name, colon, value = part.partition(":")
        if colon:
            found[name.strip()] = " ".join(value.split())
    return found


def _near_zero(most: float) -> Callable[[str], bool]:
    def test(value: str) -> bool:
        match = _NUMBER.match(value)
        return match is not None and abs(float(match[1])) <= most * (1 if match[2] != "%" else 100)

    return test


def _is(*names: str) -> Callable[[str], bool]:
    return lambda value: value in names


def _far(value: str) -> bool:
    for match in _NUMBER.finditer(value):
        size, unit = abs(float(match[1])), match[2] or "px"
        if size >= _FAR.get(unit, 100 if unit in ("vh", "vw", "%") else 600):
            return True
    return False


def _tiny(value: str) -> bool:
    match = _NUMBER.match(value)
    if match is None:
        return False
    size, unit = abs(float(match[1])), match[2] or "px"
    return size <= {"px": 2.0, "pt": 2.0, "%": 12.0, "em": 0.12, "rem": 0.12}.get(unit, 0.12)


def _far_negative(value: str) -> bool:
    return "-" in value and _far(value)


def _squeezed(wanted: str, value: str) -> bool:
    return wanted in value.replace(" ", "")


_SIZELESS = re.compile(r"(?<![\d.])0*\.?0+(?:px|pt|em|rem)?(?:/|\s)")
_CLIPPED = re.compile(r"inset\((?:100|[5-9]\d)%|circle\(0|polygon\(0 0")
_TESTS: dict[str, Callable[[str], bool]] = {
    "display": _is("none"),
    "visibility": _is("hidden", "collapse"),
    "content-visibility": _is("hidden"),
    "opacity": _near_zero(0.1),
    "fill-opacity": _near_zero(0.1),
    "font-size": _tiny,
    "font": lambda value: _SIZELESS.search(value) is not None,
    "line-height": lambda value: re.fullmatch(r"0*\.?0+[a-z]*", value) is not None,
    "text-indent": _far,
    "letter-spacing": _far_negative,
    "left": _far_negative,
    "top": _far_negative,
    "right": _far_negative,
    "bottom": _far_negative,
    "margin": _far,
    "margin-top": _far,
    "margin-left": _far,
    "margin-right": _far_negative,
    "margin-bottom": _far_negative,
    "padding-top": _far,
    "padding-left": _far,
    "transform": lambda value: _squeezed("scale(0", value)
    or ("translate" in value and _far(value)),
    "clip": lambda value: value.startswith("rect"),
    "clip-path": lambda value: _CLIPPED.match(value) is not None,
    "filter": lambda value: _squeezed("opacity(0", value) or "blur(" in value,
    "mask": lambda value: "transparent" in value,
    "text-size-adjust": _is("0"),
}  # fmt: skip


def _shrunk(declared: Mapping[str, str]) -> bool:
    small = any(
        re.fullmatch(r"[01]?(?:\.\d+)?(?:px|em|rem|pt|%)?", declared.get(name, "x"))
        for name in ("width", "height", "max-height", "max-width")
    )
    return small and declared.get("overflow", "") in ("hidden", "clip")


def _colour(value: str) -> str:
    """Give a colour in one spelling: ``white`` for all that is nearly white."""
    value = value.strip().lower()
    if value in _WHITE:
        return "transparent" if value == "transparent" else "white"
    match = re.search(r"#([0-9a-f]{3,8})\b", value)
    if match:
        digits = match[1]
        if len(digits) in (3, 4):
            digits = "".join(digit * 2 for digit in digits)
        if len(digits) == 8 and int(digits[6:], 16) < 26:
            return "transparent"
        parts = [int(digits[i : i + 2], 16) for i in (0, 2, 4) if len(digits) >= i + 2]
        return "white" if parts and min(parts) >= 0xF0 else f"#{digits[:6]}"
    match = re.search(r"rgba?\(([^)]{1,60})\)", value)
    if match:
        numbers = [float(found) for found in re.findall(r"[0-9.]+", match[1]) if found != "."]
        if len(numbers) > 3 and numbers[3] <= (10 if "%" in match[1].split(",")[-1] else 0.1):
            return "transparent"
        return (
            "white"
            if numbers[:3] and min(numbers[:3]) >= (94 if "%" in match[1] else 240)
            else value
        )
    match = re.search(
        r"hsla?\(\s*[0-9.a-z]+[\s,]+[0-9.]+%?[\s,]+([0-9.]+)%(?:[\s,/]+([0-9.]+))?", value
    )
    if match:
        if match[2] and float(match[2]) <= 0.1:
            return "transparent"
        return "white" if float(match[1]) >= 94 else value
    return value
