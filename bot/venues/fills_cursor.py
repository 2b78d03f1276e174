"""Up to where an account's fills are known: the text that the program stores between two questions.

It holds the time of the newest fill and the ids of those shortly before it, because a venue's history may list a
fill later than one that happened after it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.domain.account import Fill
from bot.domain.errors import VenueError

FILLS_OVERLAP = timedelta(minutes=10)
"""A fill may appear in a venue's history later than one that happened after it."""
FILLS_DEEP_LOOK = timedelta(days=1)
"""So late it may appear at worst: a thorough look asks again for so long before the newest."""
FILLS_FIRST_LOOK = timedelta(hours=1)
"""How far a new account is looked back at: whatever it did before is nothing of ours."""
_OVERLAP_MS = int(FILLS_OVERLAP.total_seconds() * 1000)


def read_cursor(account: str, cursor: str, now: datetime, *, deep: bool = False) -> tuple[int, frozenset[str]]:
    """From when fills are asked for (ms), and which of them are known. Raises VenueError for no cursor of ours.

    One from the future was written while the clock was wrong: fills are asked for from before ``now``.
    """
    overlap_ms = int(FILLS_DEEP_LOOK.total_seconds() * 1000) if deep else _OVERLAP_MS
    if not cursor:
        return _ms(now - FILLS_FIRST_LOOK), frozenset()
    try:
        told = json.loads(cursor)
        return min(int(told["ms"]), _ms(now)) - overlap_ms, frozenset(map(str, told["ids"]))
    except (ValueError, TypeError, KeyError) as e:
        raise VenueError(f"{account}: fills cursor {cursor[:40]!r} cannot be read") from e


def new_cursor(
    cursor: str, told: Sequence[Fill], returned: Sequence[Fill], known: frozenset[str], now: datetime
) -> str:
    """The cursor after these fills; the same one where nothing is new.

    It moves by the times of fills alone: a clock that ran ahead for a while must hide none of them.
    """
    if cursor and not returned:
        return cursor
    up_to_ms = min(int(json.loads(cursor)["ms"]), _ms(now)) if cursor else _ms(now - FILLS_FIRST_LOOK)
    up_to_ms = max([up_to_ms, *(_ms(fill.at) for fill in returned)])
    told_already = known | {fill.fill_id for fill in returned}
    ids = sorted(f.fill_id for f in told if f.fill_id in told_already and _ms(f.at) >= up_to_ms - _OVERLAP_MS)
    return json.dumps({"ms": up_to_ms, "ids": ids}, separators=(",", ":"))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
