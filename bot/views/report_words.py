"""What the HTML report says in words: refusals, limits, assumptions, and which part the rules were chosen on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from bot.backtest import layout as at
from bot.backtest.result import BacktestRun
from bot.domain.market import TIMEFRAME_MS
from bot.domain.modes import ExitRule, Strategy
from bot.scaling.ladder import SCALING_TIERS
from bot.views.text import money

CHOSEN_UNTIL = "2024-12-31"
"""Last day of the data on which the shipped defaults were chosen."""
SPLIT_MS = 1_735_689_600_000
"""2025-01-01, the first day after it."""

REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "signal_too_weak": "The score was too low.",
        "history_too_short": "Too few daily prices were known.",
        "within_band": "What was held was near enough to its target.",
        "below_min_trade": "The order would have been below the smallest trade of the settings.",
        "below_venue_minimum": "The order would have been below the venue's minimum.",
        "unsellable": "At its stop the position would have been too small to sell.",
        "costs_too_high": "A round trip would have cost too much for so near a stop.",
        "position_cap": "The coin was at its cap of equity.",
        "risk_per_trade": "The loss at the stop would have been above the tier's ceiling.",
        "cash_buffer": "Cash would have fallen below the buffer.",
        "venue_cash": "The account had too little free cash.",
        "price_moved": "The price had moved too far since the daily close.",
        "edge_brake": "The trades so far made an edge too unlikely.",
        "heat": "All stops together would have cost more than the limits of day and drawdown left.",
        "volatility_room": "The volatility of all positions together was at its ceiling.",
        "drawdown": "The drawdown limit had been reached.",
        "risk_reward": "The reward after costs was too small for the risk.",
        "fee_budget": "Fees of 30 days would have been above their budget.",
        "no_breakout": "There was no recent close above the 20-day high.",
        "market_flat": "The coin's own trend was not up.",
        "market_crash": "The coin was in a crash: very volatile, and below its 200-day mean.",
        "low_confidence": "The results so far gave too little confidence in a gain.",
        "no_edge": "The trades so far showed no edge.",
        "minimum_trade": "Only one smallest trade was possible.",
        "max_positions": "As many positions were open as the tier allows.",
        "venue_dormant": "The account was below the venue's minimum.",
        "stale_data": "The price was too old: a gap in the candles.",
        "spread": "Bid and ask were too far apart.",
        "no_market": "The venue has no market for this coin.",
        "below_activation": "Equity was below what trading needs.",
        "daily_loss": "The limit of the day's loss had been reached.",
        "loss_streak": "Entries paused after losses in a row.",
        "entry_not_filled": "The order rested without being filled and was taken back.",
        "order_rejected": "The money did not reach for the order and its fee.",
        "follows_master": "This account follows another one and enters nothing by itself.",
    }
)


def refusal_rows(run: BacktestRun) -> list[tuple[int, str, str]]:
    """Count, words and name of each refusal, the most frequent first."""
    ordered = sorted(run.result.refusals.items(), key=lambda item: (-item[1], item[0]))
    return [(count, REFUSALS.get(name, name.replace("_", " ")), name) for name, count in ordered]


def guard_words(run: BacktestRun) -> dict[str, tuple[str, str]]:
    """For each limit what it is, and what it does."""
    terms = run.terms
    halted = "everything is sold and nothing bought" if terms.halt_flattens else "nothing is bought"
    return {
        "daily_loss": (f"Loss of a day, {terms.daily_loss * 100:g} %", "no entries until the next UTC day"),
        "drawdown": (f"Drawdown, {terms.max_drawdown * 100:g} % below the peak", f"{halted} for the rest of the run"),
        "loss_streak": (f"{terms.max_losses} losses in a row", "no entries for 24 hours, then one of half size"),
    }


def ladder_words() -> str:
    """Where each tier begins."""
    tiers = sorted(SCALING_TIERS, key=lambda tier: tier.min_equity)
    return ", ".join(f"{tier.name} from {money(tier.min_equity, digits=0)}" for tier in tiers)


def sample_words(run: BacktestRun, split_ms: int) -> str:
    """Say which part of a run the shipped defaults were chosen on."""
    chosen = f"The shipped defaults were chosen on data up to {CHOSEN_UNTIL}."
    day = _day(split_ms)
    if run.end_ms <= split_ms:
        if split_ms > SPLIT_MS:
            return f"All of it lies before {day}. {chosen}"
        return f"{chosen} All of it is in sample: the default was chosen on these years, expect less."
    if run.start_ms >= split_ms:
        if run.start_ms >= SPLIT_MS:
            return f"{chosen} All of it is out of sample."
        only = f"It is out of sample only for rules that were chosen before {day}."
        return f"All of it lies after the split at {day}. {chosen} {only}"
    parts = f"The parts meet at {day}; each is a run of its own that begins with {money(run.result.start_equity)}."
    if split_ms == SPLIT_MS:
        return f"{chosen} {parts} Of the first, expect less."
    return f"{chosen} {parts} The second is out of sample only for rules that were chosen before {day}."


def assumption_rows(run: BacktestRun) -> Iterator[tuple[str, str]]:
    """What was assumed, as pairs of label and text."""
    terms = run.terms
    yield "Simulated", "The prices are recorded ones. The orders are invented: none of them ever reached a venue."
    yield (
        "Candles",
        f"{run.source}, {run.timeframe}; decisions at daily closes, at the earliest {_delay(run)} after them",
    )
    maker, taker = float(run.fees.maker_frac) * 100, float(run.fees.taker_frac) * 100
    yield "Fees", f"{run.account}: {maker:g} % where an order rests, {taker:g} % where it is executed at once"
    half = terms.half_spread / at.SPREAD_UNITS * 10_000
    yield "Spread", f"{half:g} basis points on either side of the recorded price, always"
    yield (
        "Entries",
        "rest at the bid; filled in whole, at their price, once a candle's low is below it; the size of an order moves "
        f"no price; given up after {terms.patience_s / 60:g} minutes, where candles are longer at the next one"
        + ("; then tried once at the ask" if terms.crosses else ""),
    )
    yield (
        "Stops and sales",
        "stops are executed half a spread below their trigger, or below the open of a candle that begins under it; "
        "sales at the bid",
    )
    if TIMEFRAME_MS[run.timeframe] > TIMEFRAME_MS["1h"]:
        yield (
            "Between cycles",
            f"{run.timeframe} pass: an entry rests as long, and what it buys has no stop before then",
        )
    yield (
        "Limits",
        f"{terms.position_cap * 100:g} % of equity in a coin, {terms.cash_buffer * 100:g} % cash, "
        f"{terms.daily_loss * 100:g} % loss a day, {terms.max_drawdown * 100:g} % drawdown, "
        f"{terms.max_losses} losses in a row, smallest trade {money(terms.min_trade)}",
    )
    rule = f", exits by {list(ExitRule)[terms.exit_rule].value}"
    strategy = list(Strategy)[terms.strategy]
    yield "Strategy", f"{strategy.value}{rule if strategy is Strategy.BREAKOUT else ''}"
    yield (
        "Not in it",
        "a server, taxes, withdrawals, outages of venue and bot, orders that a venue rejects or fills in parts",
    )


def _delay(run: BacktestRun) -> str:
    return f"{run.terms.decision_delay_s:g} s"


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).date().isoformat()
