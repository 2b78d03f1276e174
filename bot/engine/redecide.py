"""Old decisions made again from the stored bars: the same core, the same numbers, or it says what differs.

Signals are folded anew from the bars; account, limits and market of that day are taken as they were stored.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar, get_type_hints

from bot.decide import codes, exits, sizer
from bot.decide.costs import Rules
from bot.decide.ensemble import MEMBERS
from bot.decide.intents import Coin, Intent
from bot.decide.kelly import Edge
from bot.decide.regime import MODE_NAMES
from bot.decide.sizer import Candidate, Holdings, Limits
from bot.domain.market import Candle
from bot.domain.modes import Strategy
from bot.engine.decision_record import Wish, intent_of, nan_to_zero
from bot.engine.history import History, SignalRules
from bot.engine.sizing import STOP_ATR, rewarding
from bot.ports import DecisionRecord

TOLERANCE = 1e-9
"""Relative; the same program on another machine may add in another last digit."""

Details = Mapping[str, float | str | None]
_T = TypeVar("_T", bound=NamedTuple)

_MAY_BECOME = {
    "enter": ("refuse",),
    "add": ("refuse",),
    "reduce": ("hold",),
    "exit": ("hold",),
    "hold": (),
    "refuse": (),
}
"""What an account can make of a wish besides granting it."""


class Depth(StrEnum):
    """How much of a decision could be made again."""

    WHOLE = "whole"
    SIGNALS = "signals"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Redecided:
    """One decision, made again."""

    depth: Depth
    why: str = ""
    """Why not more of it."""
    differences: tuple[str, ...] = ()


class Redecider:
    """Makes decisions again, oldest first is quickest; ``bars_of`` gives the stored bars of a (source, symbol)."""

    def __init__(self, bars_of: Callable[[str, str], Sequence[Candle]]) -> None:
        self._bars_of = bars_of
        self._bars: dict[tuple[str, str], tuple[Sequence[Candle], list[int]]] = {}
        self._histories: dict[tuple[str, str, int, SignalRules], History] = {}

    def again(self, record: DecisionRecord) -> Redecided:
        """Make one decision again and compare it with what was stored."""
        details = record.details
        source = details.get("bar_source")
        if not isinstance(source, str) or "price" not in details:
            return Redecided(Depth.NOTHING, "a version that did not store what they follow from made them")
        try:
            rules = _rules(details)
        except (KeyError, ValueError, TypeError) as e:
            return Redecided(Depth.WHOLE, differences=(_unusable(e),))
        history = self._history(source, record, rules)
        if history is None:
            return Redecided(Depth.NOTHING, "their bars are gone")
        try:
            coin = _coin(history, details)
            differences = list(_signal_differences(coin, record))
            if "wish_equity" not in details:
                return Redecided(Depth.SIGNALS, "an older version stored the signals alone", tuple(differences))
            intent = intent_of(Strategy(str(details["strategy"])), coin, _read(Wish, "wish", details))
            differences += _intent_differences(intent, record)
            if "candidate_price" in details:
                differences += _order_differences(coin, intent, record)
        except (KeyError, ValueError, TypeError, ArithmeticError, AssertionError) as e:
            differences = [_unusable(e)]
        return Redecided(Depth.WHOLE, differences=tuple(differences))

    def _history(self, source: str, record: DecisionRecord, rules: SignalRules) -> History | None:
        """Fold the bars up to the decision; None where they are not those that it was made from."""
        if (source, record.symbol) not in self._bars:
            bars = self._bars_of(source, record.symbol)
            self._bars[source, record.symbol] = bars, [bar.open_ms for bar in bars]
        bars, times = self._bars[source, record.symbol]
        key = (source, record.symbol, record.first_bar_ms, rules)
        history = self._histories.get(key)
        if history is None or (history.last_open_ms or 0) > record.bar_ms:
            history = self._histories[key] = History(rules)
        after = record.first_bar_ms - 1 if history.last_open_ms is None else history.last_open_ms
        history.extend(bars[bisect_right(times, after) : bisect_left(times, record.bar_ms + 1)])
        if len(history) != record.bars or history.last_open_ms != record.bar_ms:
            return None
        return history


def _unusable(error: Exception) -> str:
    what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error) or "it contradicts itself"
    return f"what is stored with it cannot be used: {what}"


def _coin(history: History, details: Details) -> Coin:
    price = _number(details, "price")
    distance = exits.stop_distance(history.atr(), price, STOP_ATR[Strategy(str(details["strategy"]))])
    return Coin(
        history.score(),
        history.volatility(),
        distance,
        price,
        history.closes[-1],
        _number(details, "held_usd"),
        *history.regime_inputs(),
    )


def _rules(details: Details) -> SignalRules:
    """Which signals counted; a decision that names none is of a version that knew the trend alone."""
    if "weight_trend" not in details:
        return SignalRules()
    weights = tuple(_number(details, f"weight_{member}") for member in MEMBERS)
    return SignalRules(weights=weights, regime=details.get("regime_used") == 1.0)


def _signal_differences(coin: Coin, record: DecisionRecord) -> Iterator[str]:
    details = record.details
    yield from _differs("score", nan_to_zero(coin.score), record.score)
    for name in ("volatility", "stop_distance", "bar_close"):
        yield from _differs(name, getattr(coin, name), _number(details, name))
    if details.get("regime_used") == 1.0:
        mode = MODE_NAMES[coin.mode]
        if mode != details["regime"]:
            yield f"regime is stored as {details['regime']!r} and would be {mode!r}"
        yield from _differs("regime_scale", coin.scale, _number(details, "regime_scale"))


def _intent_differences(intent: Intent, record: DecisionRecord) -> Iterator[str]:
    details, wanted = record.details, codes.ACTION_NAMES[intent.action]
    if wanted != details["wanted"]:
        yield f"it would want to {wanted} and not to {details['wanted']}"
        return
    yield from _differs("target_usd", _finite(intent.target_usd), _number(details, "target_usd"))
    yield from _differs("gap_usd", _finite(intent.gap_usd), _number(details, "gap_usd"))
    if record.action not in (wanted, *_MAY_BECOME[wanted]):
        yield f"it wanted to {wanted}, which cannot become {record.action}"
    code = codes.REFUSAL_NAMES[intent.code]
    if record.action == wanted and details["code"] != code:
        yield f"its reason would be {code!r} and not {details['code']!r}"
    if wanted in ("enter", "add") and record.action == wanted and "candidate_price" not in details:
        yield "it was sent without having been sized"


def _order_differences(coin: Coin, intent: Intent, record: DecisionRecord) -> Iterator[str]:
    """Size it again."""
    details = record.details
    rules, edge = _read(Rules, "rules", details), _read(Edge, "edge", details)
    candidate, limits = _read(Candidate, "candidate", details), _read(Limits, "limits", details)
    holdings = _read(Holdings, "holdings", details)
    yield from _differs("candidate_volatility", coin.volatility, candidate.volatility)
    yield from _differs("candidate_stop_distance", coin.stop_distance, candidate.stop_distance)
    blend, caps, order = sizer.size_position(candidate, rules, holdings, limits, edge)
    order = rewarding(order, _number(details, "reward"), _number(details, "min_reward"))
    for name, value in blend._asdict().items():
        yield from _differs(f"leg_{name}", value, _number(details, f"leg_{name}"))
    for name, value in caps._asdict().items():
        yield from _differs(f"cap_{name}_usd", _finite(value), _number(details, f"cap_{name}_usd"))
    yield from _differs("lots", float(order.lots), _number(details, "lots"))
    yield from _differs("notional_usd", order.notional, _number(details, "notional_usd"))
    yield from _differs("risk_usd", order.risk_usd, _number(details, "risk_usd"))
    yield from _differs("parts", float(order.exits), _number(details, "parts"))
    if codes.REFUSAL_NAMES[order.binding] != details["binding"]:
        yield f"{codes.REFUSAL_NAMES[order.binding]!r} would have bound it and not {details['binding']!r}"
    action = codes.ACTION_NAMES[intent.action if order.lots > 0 else codes.REFUSE]
    if action != record.action:
        yield f"the outcome would be to {action} and not to {record.action}"
    if order.lots == 0 and codes.REFUSAL_NAMES[order.code] != details["code"]:
        yield f"its reason would be {codes.REFUSAL_NAMES[order.code]!r} and not {details['code']!r}"


def _differs(name: str, again: float, stored: float) -> Iterator[str]:
    if math.isnan(again) and math.isnan(stored):
        return
    if not math.isclose(again, stored, rel_tol=TOLERANCE, abs_tol=1e-12):
        yield f"{name} is stored as {stored!r} and would be {again!r}"


def _number(details: Details, name: str) -> float:
    """A stored number; nothing is NaN. Raises KeyError, ValueError."""
    value = details[name]
    return math.nan if value is None else float(value)


def _finite(value: float) -> float:
    """What the details keep of a number: an infinite one is stored as nothing."""
    return value if math.isfinite(value) else math.nan


def _read(kind: type[_T], name: str, details: Details) -> _T:
    """One input of the core; its whole numbers are whole again."""
    older = {"candidate_scale": 1.0}  # a version before the regime's
    stored = {**older, **details}
    return kind(*(whole(_number(stored, f"{name}_{field}")) for field, whole in get_type_hints(kind).items()))
