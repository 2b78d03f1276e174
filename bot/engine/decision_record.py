"""A decision as it is stored: what was seen, what was wanted, what became of it and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from bot.decide import allocation, breakout, codes
from bot.decide.ensemble import MEMBERS
from bot.decide.intents import Coin, Intent
from bot.decide.regime import MODE_NAMES
from bot.decide.risk import drawdown_scale
from bot.domain.modes import Strategy
from bot.domain.refusal import Refusal
from bot.engine.config import EngineConfig
from bot.engine.exposure import Entry
from bot.engine.history import History
from bot.engine.sizing import Sized
from bot.ports import DecisionRecord


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one coin's decision; ``action`` is a code of the core."""

    action: int
    sized: Sized | None = None
    """The sizer's answer, also where it was a refusal."""
    entry: Entry | None = None
    refusal: Refusal | None = None


class Wish(NamedTuple):
    """What an intent follows from besides the coin: the account and the limits; USD, fractions, NaN where not asked."""

    equity: float
    position_cap: float
    entry_base: float
    entry_cap: float
    coins: int
    drawdown: float
    max_drawdown: float
    min_score: float
    min_trade: float
    since_breakout: float
    """Bars since a breakout that has not been traded; the breakout strategy asks for this and the score alone."""


def intent_of(strategy: Strategy, coin: Coin, wish: Wish) -> Intent:
    """What the strategy wants of a coin."""
    if strategy is Strategy.BREAKOUT:
        return breakout.intend(coin, wish.since_breakout, wish.min_score)
    return allocation.intend(
        coin,
        wish.equity,
        wish.position_cap,
        wish.entry_base,
        wish.entry_cap,
        wish.coins,
        drawdown_scale(wish.drawdown, wish.max_drawdown),
        wish.min_score,
        wish.min_trade,
    )


def decision_record(
    symbol: str,
    coin: Coin,
    wish: Wish,
    intent: Intent,
    verdict: Verdict,
    *,
    config: EngineConfig,
    history: History,
    now: datetime,
) -> DecisionRecord:
    """Put a decision into the form of the ledger, with all that it follows from: see ``redecide``.

    The bars that it was made from are stored beside it.
    """
    sized = verdict.sized
    details: dict[str, float | str | None] = {
        "bar_source": config.bar_source,
        "price": coin.price,
        "bar_close": coin.bar_close,
        "volatility": _finite(coin.volatility),
        "stop_distance": _finite(coin.stop_distance),
        "held_usd": coin.held_usd,
        "strategy": config.strategy.value,
        "target_usd": _finite(intent.target_usd),
        "gap_usd": _finite(intent.gap_usd),
        "code": verdict.refusal.code.value if verdict.refusal is not None else codes.REFUSAL_NAMES[intent.code],
        "wanted": codes.ACTION_NAMES[intent.action],
        **inputs_of("wish", wish),
        **signals_in(history),
    }
    if sized is not None:
        details |= _explained(sized)
        for name, values in sized.inputs._asdict().items():
            details |= inputs_of(name, values)
    last = history.last_open_ms
    assert last is not None, f"{symbol} was decided without a bar"
    return DecisionRecord(
        symbol=symbol,
        account=verdict.entry.account.name if verdict.entry is not None else "",
        bar_ms=last,
        first_bar_ms=history.open_ms[0],
        bars=len(history),
        action=codes.ACTION_NAMES[verdict.action],
        score=nan_to_zero(coin.score),
        details=details,
        at=now,
    )


def _explained(sized: Sized) -> dict[str, float | str | None]:
    """Each leg, each cap and the binding one, for the decision's record."""
    blend, caps, order = sized.blend, sized.caps, sized.order
    return {
        "binding": codes.REFUSAL_NAMES[order.binding],
        "reward": _finite(sized.reward),
        "min_reward": sized.min_reward,
        "lots": float(order.lots),
        "notional_usd": order.notional,
        "risk_usd": order.risk_usd,
        "parts": float(order.exits),
        **{f"leg_{name}": value for name, value in blend._asdict().items()},
        **{f"cap_{name}_usd": _finite(value) for name, value in caps._asdict().items()},
    }


def signals_in(history: History) -> dict[str, float | str | None]:
    """Members of the score with their weights, and the regime, used or not."""
    members = zip(MEMBERS, history.members(), history.rules.weights, strict=True)
    shown: dict[str, float | str | None] = {}
    for name, value, weight in members:
        shown[f"member_{name}"] = _finite(value)
        shown[f"weight_{name}"] = weight
    state = history.regime()
    return shown | {
        "regime": MODE_NAMES[state.mode],
        "regime_rank": _finite(state.rank),
        "regime_scale": state.scale,
        "regime_used": float(history.rules.regime),
    }


def inputs_of(name: str, values: NamedTuple) -> dict[str, float | str | None]:
    """Fields of one input of the core, so that ``redecide`` can read them back exactly."""
    return {f"{name}_{field}": in_json(float(value)) for field, value in values._asdict().items()}


def in_json(value: float) -> float | str:
    """A number as it is stored where NaN and infinities must come back: these as ``nan``, ``inf``."""
    return value if math.isfinite(value) else str(value)


def entry_reason(strategy: Strategy, coin: Coin, intent: Intent) -> str:
    """Say in a few words why something is bought; it stands with the order."""
    if math.isfinite(intent.target_usd):
        return f"{strategy}: score {coin.score:.2f}, target ${intent.target_usd:.2f}"
    return f"{strategy}: score {coin.score:.2f}, a new high of {breakout.BREAKOUT_DAYS} days"


def nan_to_zero(value: float) -> float:
    """A score for sorting and storing: none counts as 0."""
    return 0.0 if math.isnan(value) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
