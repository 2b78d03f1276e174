"""The words behind the numbers of a backtest: why an order was sent, why none was."""

from __future__ import annotations

from bot.backtest import layout as at
from bot.decide import codes
from bot.decide.breakout import BREAKOUT_DAYS
from bot.decide.exits import MAX_DAYS, SINGLE_TARGET, TARGETS
from bot.domain.refusal import RefusalCode

_OWN_REFUSALS = {
    at.MAX_POSITIONS: RefusalCode.MAX_POSITIONS,
    at.VENUE_DORMANT: RefusalCode.VENUE_DORMANT,
    at.STALE_DATA: RefusalCode.STALE_DATA,
    at.SPREAD: RefusalCode.SPREAD,
    at.NO_MARKET: RefusalCode.NO_MARKET,
    at.BELOW_ACTIVATION: RefusalCode.BELOW_ACTIVATION,
    at.DAILY_LOSS_REACHED: RefusalCode.DAILY_LOSS,
    at.LOSS_STREAK: RefusalCode.LOSS_STREAK,
    at.ENTRY_NOT_FILLED: RefusalCode.ENTRY_NOT_FILLED,
    at.ORDER_REJECTED: RefusalCode.ORDER_REJECTED,
    at.FOLLOWING: RefusalCode.FOLLOWS_MASTER,
}

_WORDS = {
    at.WHY_ALLOCATION: "allocation: score {a:.2f}, target ${b:.2f}",
    at.WHY_BREAKOUT: f"breakout: score {{a:.2f}}, a new high of {BREAKOUT_DAYS} days",
    at.WHY_STOP: "protective stop",
    at.WHY_DECIDED: "score {a:.2f}, target ${b:.2f}",
    at.WHY_AT_STOP: "the price is at its stop of {usd:.2f} or below",
    at.WHY_TOO_SMALL: "too small for a stop",
    at.WHY_TIME: f"{MAX_DAYS:.0f} days are over",
    at.WHY_BELOW_STOP: "the price is below where its stop belongs by now",
    at.WHY_FLATTEN: "flatten",
}


def refusal_names() -> dict[int, str]:
    """Name of every refusal by its code."""
    own = {code: str(name.value) for code, name in _OWN_REFUSALS.items()}
    return dict(enumerate(codes.REFUSAL_NAMES)) | own


def reason_words(why: int, note: tuple[float, float]) -> str:
    """Say why an order was sent, in the engine's words."""
    a, b = note
    if why == at.WHY_TARGET:
        count, of = int(a), int(b)
        multiple = TARGETS[count - 1] if of > 1 else SINGLE_TARGET
        return f"target {count} of {of} ({multiple:g} R)"
    return _WORDS[why].format(a=a, b=b, usd=a / at.CENT_UNITS)
