"""The account's closed trades as the core reads them: results in R, weighted by their age, against the evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from bot.books.book import Book
from bot.books.positions import Trade
from bot.decide.confidence import Band, Confidence, Evidence, band_of, confidence_of, falls_short, is_armed
from bot.decide.kelly import result_weight
from bot.engine.account import Account
from bot.engine.config import EngineConfig
from bot.engine.state import EngineState, parse_time

RESULTS_KEPT = 500
"""Older results have faded to nothing: 500 trades are years."""

SECONDS_PER_DAY = 86_400.0
NO_EVIDENCE = Evidence(0.0, 0.0, 0.0)
FEE_TOLERANCE_PCT = 0.005
ENOUGH = 30
"""Trades; fewer are called insufficient everywhere."""


@dataclass(frozen=True, slots=True)
class OwnResults:
    """Closed trades whose risk is known, oldest first."""

    results: Sequence[float]
    """In R."""
    weights: Sequence[float]
    trades: int
    """How many there are, those beyond the newest 500 included."""
    idle_days: float
    """Since the newest was closed; 0 without one."""


def own_results(trades: Sequence[Trade], now: datetime, since: datetime | None = None) -> OwnResults:
    """Read the trades, or those closed after ``since``. What was never sold, the crumb of an entry, is no result."""
    known = [trade for trade in trades if trade.initial_risk_usd is not None and trade.is_result]
    if since is not None:
        known = [trade for trade in known if trade.closed_at > since]
    results, ages = [], []
    for trade in known[-RESULTS_KEPT:]:
        assert trade.initial_risk_usd is not None
        results.append(float(trade.net_pnl / trade.initial_risk_usd))
        ages.append((now - trade.closed_at).total_seconds() / SECONDS_PER_DAY)
    return OwnResults(
        results=results,
        weights=[result_weight(age) for age in ages],
        trades=len(known),
        idle_days=ages[-1] if ages else 0.0,
    )


class Expectation:
    """What results and evidence say together, and whether the account keeps to what was expected."""

    def __init__(
        self, *, config: EngineConfig, accounts: Mapping[str, Account], book: Book, state: EngineState
    ) -> None:
        self._config = config
        self._accounts = accounts
        self._book = book
        self._state = state
        self._known: tuple[tuple[int, date, str], Confidence, Band] | None = None

    def read(self, now: datetime) -> tuple[Confidence, Band]:
        """Read both; once a day and once per trade, as results age by days."""
        key = (len(self._book.trades), now.date(), self._state.expected_from)
        if self._known is None or self._known[0] != key:
            evidence = self._config.evidence or NO_EVIDENCE
            own = own_results(self._book.trades, now)
            compared = own_results(self._book.trades, now, parse_time(self._state.expected_from))
            self._known = (
                key,
                confidence_of(own.results, own.idle_days, evidence),
                band_of(compared.results, evidence),
            )
        return self._known[1], self._known[2]

    def note_rules(self, now: datetime) -> None:
        """Compare only what closes from now on where the rules are not those of the trades before."""
        if self._state.expected_rules != self._config.rules_key:
            self._state.expected_rules = self._config.rules_key
            self._state.expected_from = now.isoformat()

    def falls_short(self, now: datetime) -> bool:
        """Whether results have been below the expected band for so long that entries pause."""
        return falls_short(self.read(now)[1])

    def confidence_words(self, now: datetime) -> str:
        """Say what the trade filter rests on, and whether it holds anything back."""
        config = self._config
        if not config.trade_filter:
            return "off (AI_TRADE_FILTER=False)"
        confidence, _ = self.read(now)
        rests = f"{confidence.own:.1f} own trades, of 40 at most"
        if confidence.evidence > 0.0:
            rests += f" and {config.evidence_about}{self._fee_words()}"
        words = f"{confidence.chance * 100:.0f} % sure of a gain after costs, by {rests}"
        if not is_armed(confidence):
            words = f"not armed, needs 20 own trades and lets pass: {words}"
        return f"{words}; {config.model_about}" if config.model_about else words

    def band_words(self, now: datetime) -> str:
        """Say how own trades compare with the band."""
        _, band = self.read(now)
        if self._config.evidence is None:
            return self._config.evidence_about or "no evidence to compare with"
        if math.isnan(band.mean):
            return f"no own trade yet to compare with {self._config.evidence_about}"
        stale = self._fee_words()
        count = self._config.evidence.trades
        few = f", from {count:.0f} trades: insufficient" if count < ENOUGH else ""
        return f"own mean {band.mean:+.2f} R, expected {band.low:+.2f} to {band.high:+.2f} R (90 %{few}){stale}"

    def _fee_words(self) -> str:
        """Say that the account takes other fees than the evidence was found with; '' where it does not."""
        there, fees = self._config.evidence_fees_pct, self._accounts[self._config.primary_account].fees
        if there is None or fees is None:
            return ""
        here = float(fees.maker_frac) * 100, float(fees.taker_frac) * 100
        if max(abs(a - b) for a, b in zip(here, there, strict=True)) <= FEE_TOLERANCE_PCT:
            return ""
        return f", stale: fees are {here[0]:g}/{here[1]:g} % here, {there[0]:g}/{there[1]:g} % there"
