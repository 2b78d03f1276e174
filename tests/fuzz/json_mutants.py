"""A good answer, broken in one place: what a proxy, a new version of an interface or a bad day makes of it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

STRANGE: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    3.5,
    36,
    "",
    "x",
    [],
    {},
    [[]],
    [None],
    {"x": 1},
    float("nan"),
    float("inf"),
    -float("inf"),
    10**30,
    1e308,
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999999",
    "1e-999999",
    "1_0",
    "٣",  # a digit for Python, and for no venue
    " 1 ",
    "0x10",
    "\x00",
    "ü" * 50,
    "2999-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
)
BODIES = (b"", b"{}", b"[]", b"null", b"0", b'"x"', b"<html>Just a moment...</html>", b"\xff\xfe\x00", b"[" * 3000)
STATUSES = (200, 201, 301, 400, 401, 403, 404, 429, 500, 502, 503, 504, 520, 522, 524)
FOREIGN = "00000000-0000-4000-8000-00000000f00d"
"""An id that nobody gave."""


def mutated(document: Any, chance: random.Random, *, lies: bool = True) -> Any:
    """A copy that differs in one place; without ``lies`` no number is exchanged for another that could be true."""
    whole = {"": copy.deepcopy(document)}
    places = [(whole, ""), *_places(whole[""])]
    holder, key = chance.choice(places[1:] or places)
    chance.choice(_ways(holder, key, lies=lies))(holder, key, chance)
    return whole.get("")


def mutated_body(body: bytes, chance: random.Random, *, lies: bool = True) -> bytes:
    """The same for a JSON text; a part of them is cut, or something else altogether."""
    dice = chance.random()
    if dice < 0.06:
        return chance.choice(BODIES)
    if dice < 0.12:
        return body[: chance.randrange(len(body) + 1)]
    try:
        document = json.loads(body)
    except ValueError:
        return body
    for _ in range(chance.choice((1, 1, 1, 2, 4, 1 + len(body) // 500))):
        document = mutated(document, chance, lies=lies)
    return json.dumps(document).encode()


def _places(node: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        found += [(node, key), *_places(child)]
    return found


_Way = Callable[[Any, Any, random.Random], None]


def _ways(holder: Any, key: Any, *, lies: bool) -> list[_Way]:
    value = holder[key]
    ways: list[_Way] = [_drop, _drop, _strange, _strange, _strange]
    if isinstance(holder, dict) and key != "":
        ways += [_rename, _doubled_key]
    if isinstance(holder, list):
        ways += [_repeat]
    if isinstance(value, list | dict) and value:
        ways += [_emptied, _wrapped]
    if isinstance(value, int | float) and not isinstance(value, bool):
        ways += [_as_text]
    if isinstance(value, str):
        ways += [_as_number, _foreign]
    if lies and _number(value) is not None:
        ways += [_other_number, _other_number]
    return ways


def _number(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) or not isinstance(value, str | int | float) else float(value)
    except ValueError:
        return None


def _drop(holder: Any, key: Any, _chance: random.Random) -> None:
    del holder[key]


def _strange(holder: Any, key: Any, chance: random.Random) -> None:
    holder[key] = copy.deepcopy(chance.choice(STRANGE))


def _rename(holder: Any, key: Any, chance: random.Random) -> None:
    holder[chance.choice((f"{key}_", key.upper(), f" {key}", "x"))] = holder.pop(key)


def _doubled_key(holder: Any, key: Any, chance: random.Random) -> None:
    holder[chance.choice(list(holder))] = copy.deepcopy(holder[key])


def _repeat(holder: Any, key: Any, _chance: random.Random) -> None:
    holder.insert(key, copy.deepcopy(holder[key]))


def _emptied(holder: Any, key: Any, _chance: random.Random) -> None:
    holder[key] = type(holder[key])()


def _wrapped(holder: Any, key: Any, chance: random.Random) -> None:
    holder[key] = chance.choice(([holder[key]], {"data": holder[key]}))


def _as_text(holder: Any, key: Any, _chance: random.Random) -> None:
    holder[key] = str(holder[key])


def _as_number(holder: Any, key: Any, _chance: random.Random) -> None:
    number = _number(holder[key])
    holder[key] = len(holder[key]) if number is None else number


def _foreign(holder: Any, key: Any, _chance: random.Random) -> None:
    holder[key] = FOREIGN


def _other_number(holder: Any, key: Any, chance: random.Random) -> None:
    number = _number(holder[key])
    assert number is not None
    other = chance.choice((-number, number * 1e12, number / 1e12, 0, -0.0, number + 1))
    holder[key] = str(other) if isinstance(holder[key], str) else other
