"""Refusals in words and dollars: what happened, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from bot.domain.market import coin_symbol
from bot.domain.orders import Purpose
from bot.domain.refusal import Refusal, RefusalCode
from bot.domain.snapshot import CoinView, OrderView
from bot.views.text import amount


class Explanation(NamedTuple):
    """Two sentences for people."""

    what: str
    cure: str
    """What would change it; '' where nothing was refused."""


_C = RefusalCode
SENTENCES: Mapping[RefusalCode, Explanation] = MappingProxyType(
    {
        _C.SIGNAL_TOO_WEAK: Explanation(
            "The score is {actual}; an entry needs {limit}.", "A stronger trend; the daily closes decide."
        ),
        _C.HISTORY_TOO_SHORT: Explanation(
            "Daily prices are known for {actual}; the score needs {limit}.", "Time: every day adds a daily price."
        ),
        _C.BELOW_MIN_TRADE: Explanation(
            "What target, limits and holdings leave is {actual}; the smallest order is {limit} (MIN_TRADE_SIZE).",
            "More equity, a higher score or a calmer coin.",
        ),
        _C.BELOW_VENUE_MINIMUM: Explanation(
            "The order would be {actual}; {venue} takes none below {limit}.",
            "More equity, or a venue with smaller minimums.",
        ),
        _C.UNSELLABLE: Explanation(
            "At its stop the position would be worth {actual}; {venue} sells none below {limit}, "
            "so it could not be closed.",
            "More equity.",
        ),
        _C.COSTS_TOO_HIGH: Explanation(
            "A round trip costs {actual}; with so near a stop it may cost {limit}.",
            "A venue with lower fees, or larger daily ranges, which move the stop away.",
        ),
        _C.POSITION_CAP: Explanation(
            "The position cap leaves {actual} for this coin; the smallest order is {limit}.",
            "More equity: the cap is a share of it (MAX_POSITION_PCT).",
        ),
        _C.RISK_PER_TRADE: Explanation(
            "The risk per trade leaves {actual} for this coin; the smallest order is {limit}.",
            "More equity, a nearer stop, or a higher tier.",
        ),
        _C.CASH_BUFFER: Explanation(
            "Above the cash buffer there is {actual}; the smallest order is {limit}.", "A sale, or a deposit."
        ),
        _C.VENUE_CASH: Explanation(
            "The free cash on {venue} is {actual}; the smallest order is {limit}.",
            "Cash on that venue: a sale, a deposit or a transfer.",
        ),
        _C.VOLATILITY_ROOM: Explanation(
            "The volatility of all positions together leaves {actual} for this coin; the smallest order is {limit}.",
            "A sale, or a calmer market.",
        ),
        _C.HEAT: Explanation(
            "What all stops together may still cost leaves {actual} for this coin; the smallest order is {limit}.",
            "A sale, a nearer stop, the next day after a loss; after a drawdown `python bot.py resume "
            "--reset-drawdown`, which makes the present equity the new peak.",
        ),
        _C.FEE_BUDGET: Explanation(
            "What fees may still cost within 30 days leaves {actual} for this coin; the smallest order is {limit}.",
            "Time: fees older than 30 days no longer count. Or a venue with lower fees.",
        ),
        _C.EDGE_BRAKE: Explanation(
            "The results so far make an edge {actual} likely; below {limit} nothing is bought (edge brake).",
            "Better results on paper, or time: old results fade.",
        ),
        _C.NO_EDGE: Explanation(
            "The Kelly leg sizes alone (POSITION_SIZER=KELLY), and the trades so far, read with caution, show no edge "
            "({actual} R on average; 0 without any): nothing is bought.",
            "Another POSITION_SIZER, or better results on paper.",
        ),
        _C.RISK_REWARD: Explanation(
            "After fees and slippage the reward is {actual} times the risk; an entry needs {limit} (MIN_RISK_REWARD).",
            "A venue with lower fees or a wider stop; for rules without price targets, better results.",
        ),
        _C.NO_BREAKOUT: Explanation(
            "No daily close of the last {limit} is above the highest price of the 20 days before it.",
            "A daily close above the 20-day high.",
        ),
        _C.MARKET_FLAT: Explanation(
            "The coin's own trend is not up: {actual} of its lookbacks are long; an entry needs {limit} "
            "(MARKET_REGIME_ENGINE).",
            "A rising trend: daily closes above more of its earlier highs.",
        ),
        _C.MARKET_CRASH: Explanation(
            "The coin is in a crash: below its 200-day mean, and more volatile than on {actual} of the days of a year; "
            "from {limit} on nothing is bought (MARKET_REGIME_ENGINE).",
            "A calmer market, or a close above the 200-day mean.",
        ),
        _C.LOW_CONFIDENCE: Explanation(
            "The results so far make a gain after costs {actual} likely; an entry needs {limit} (MIN_AI_CONFIDENCE).",
            "Better results, or time: old results fade, and with too few of them the filter lets pass again.",
        ),
        _C.BELOW_EXPECTATION: Explanation(
            "The mean result lay below what the evidence lets expect after each of the last {actual} trades; entries "
            "pause from {limit} on.",
            "Only you: `python bot.py resume --accept-results`, after a look at why.",
        ),
        _C.MAX_POSITIONS: Explanation(
            "Positions open or being opened: {actual}; allowed are {limit}.",
            "A sale, the next tier, or a higher MAX_POSITIONS where you have set one.",
        ),
        _C.VENUE_DORMANT: Explanation(
            "The account on {venue} is worth {actual}; entries there begin at {limit}.", "A deposit there."
        ),
        _C.VENUE_UNKNOWN: Explanation(
            "{venue} does not answer, so nothing is entered there.", "Its next answer; nothing is to be done here."
        ),
        _C.ORDER_PENDING: Explanation(
            "Earlier orders whose outcome is not known yet: {actual}.", "The answer of {venue} about them."
        ),
        _C.STALE_DATA: Explanation(
            "The last price from {venue} is {actual} old; the oldest allowed is {limit}.", "A fresh price."
        ),
        _C.SPREAD: Explanation(
            "Bid and ask on {venue} are {actual} apart; beyond {limit} nothing is entered.",
            "A narrower spread; the next daily decision looks again.",
        ),
        _C.PRICE_DISAGREES: Explanation(
            "The venues' prices of this coin are {actual} apart; beyond {limit} nothing is entered.",
            "Prices that agree again; the next daily decision looks again.",
        ),
        _C.PRICE_MOVED: Explanation(
            "The price has moved {actual} since the daily close; beyond {limit} it is not followed.",
            "The next daily close.",
        ),
        _C.NO_MARKET: Explanation(
            "{venue} has no open market for this coin.", "Another venue, or TRADE_ONLY without this coin."
        ),
        _C.QUOTE_OFF_PEG: Explanation(
            "A USDC is worth {actual}; with a limit of {limit} nothing is bought for USDC.",
            "A USDC between 0.995 and 1.005 dollars again, or dollars on {venue}.",
        ),
        _C.BELOW_ACTIVATION: Explanation("Equity is {actual}; trading needs {limit}.", "A deposit."),
        _C.ERROR_SHUTOFF: Explanation(
            "Too many cycles failed in a row; entries wait for {limit} good ones, of which there are {actual} so far.",
            "Those good cycles, or `python bot.py resume`; the log says what failed.",
        ),
        _C.DAILY_LOSS: Explanation(
            "The loss of the day is {actual}; the limit is {limit}.", "The next UTC day lifts it by itself."
        ),
        _C.DRAWDOWN: Explanation(
            "The account is {actual} below its peak; the limit is {limit}.",
            "Only you: `python bot.py resume --reset-drawdown`, after a look at why.",
        ),
        _C.LOSS_STREAK: Explanation(
            "Too many losses in a row: entries pause for another {actual}.",
            "Time; the first entry afterwards is half size.",
        ),
        _C.UNRECONCILED: Explanation(
            "What the venues hold and what the ledger says do not agree: nothing is bought.",
            "Its settlement: `python bot.py status` says under FINDINGS what it is and what ends it.",
        ),
        _C.TRANSFER_PENDING: Explanation(
            "Cash is missing: a withdrawal, or a transfer on its way. Entries wait {actual} at most.",
            "Its arrival on another venue, or time: the next cycle where the amount is small.",
        ),
        _C.PAUSED_BY_USER: Explanation(
            "Entries are stopped by a halt, a pause or a flatten.", "Only you: `python bot.py resume`."
        ),
        _C.FOLLOWS_MASTER: Explanation(
            "This account follows another one (MODE=MASTER_FOLLOW) and enters nothing by itself.",
            "MODE=MASTER_ONLY or MODE=INDEPENDENT.",
        ),
        _C.ENTRY_NOT_FILLED: Explanation(
            "The buy order rested {actual} without being filled and was taken back.", "The next daily decision."
        ),
        _C.ORDER_REJECTED: Explanation(
            "{venue} rejected the order.", "The next daily decision; see the order's reason in the log."
        ),
    }
)
"""For every code, with the places ``{limit}``, ``{actual}`` (in the refusal's unit) and ``{venue}``."""


def in_words(
    code: RefusalCode, *, limit: float | None, actual: float | None, unit: str, account: str = ""
) -> Explanation:
    """Explain one refusal; ``account`` '' is an unnamed venue."""
    texts = amount(limit, unit), amount(actual, unit)
    if texts[0] == texts[1] and limit != actual:
        # $4.998 against $5.00 must not read as $5.00 against $5.00.
        texts = amount(limit, unit, digits=4), amount(actual, unit, digits=4)
    values = {"limit": texts[0], "actual": texts[1], "venue": account or "the venue"}
    what, cure = (sentence.format(**values) for sentence in SENTENCES[code])
    return Explanation(what=what[:1].upper() + what[1:], cure=cure)


ACTION_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "": "Not decided yet.",
        "enter": "The last decision was to buy.",
        "add": "The last decision was to buy more.",
        "reduce": "The last decision was to sell a part.",
        "exit": "The last decision was to sell.",
        "hold": "Held: near enough to its target.",
        "refuse": "",
    }
)


def decision_words(coin: CoinView, orders: Sequence[OrderView]) -> str:
    """Say what the last decision about a coin was, and where it was to buy, that its order has ended if so."""
    words = ACTION_WORDS.get(coin["action"], "")
    buys = coin["action"] == "add" or (coin["action"] == "enter" and not coin["held_usd"])
    rests = any(o["purpose"] == Purpose.ENTRY and coin_symbol(o["symbol"]) == coin["symbol"] for o in orders)
    return f"{words} No order for it rests any more; the next decision looks anew." if buys and not rests else words


def explain(coin: CoinView) -> Explanation:
    """Explain the refusal of a coin's last decision; two empty texts where there was none."""
    if not coin["refusal"]:
        return Explanation(what="", cure="")
    return in_words(
        RefusalCode(coin["refusal"]),
        limit=coin["refusal_limit"],
        actual=coin["refusal_actual"],
        unit=coin["refusal_unit"],
        account=coin["refusal_account"],
    )


def explain_refusal(refusal: Refusal) -> Explanation:
    """Explain a refusal from the ledger."""
    return in_words(
        refusal.code, limit=refusal.limit, actual=refusal.actual, unit=refusal.unit, account=refusal.account
    )


def change_words(cure: str) -> str:
    """A cure as a sentence of its own."""
    first = cure.split(" ", 1)[0]
    is_name = first.upper() == first and len(first) > 1  # MODE=MASTER_ONLY stays as it is written
    return f"What would change it: {cure if is_name else cure[:1].lower() + cure[1:]}"
