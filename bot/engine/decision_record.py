"""A decision as it is stored: what was seen, what was wanted, what became of it and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from bot.decide import breakout, codes
from bot.decide.intents import Coin, Intent
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


def decision_record(
    symbol: str, coin: Coin, intent: Intent, verdict: Verdict, *, config: EngineConfig, history: History, now: datetime
) -> DecisionRecord:
    """Put a decision into the form of the ledger; the bars that it was made from are stored beside it."""
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
    }
    if sized is not None:
        details |= _explained(sized)
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
        "notional_usd": order.notional,
        "risk_usd": order.risk_usd,
        "parts": float(order.exits),
        "reward": _finite(sized.reward),
        **{f"leg_{name}": value for name, value in blend._asdict().items()},
        **{f"cap_{name}_usd": _finite(value) for name, value in caps._asdict().items()},
    }


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
