"""The evidence as JSON and in words: what it rests on, what it found, and what makes it stale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.backtest.metrics import ENOUGH_TRADES, share_estimate
from bot.domain.evidence import EvidenceFile, Expectation, HitRate, Rules
from bot.domain.model_card import ModelCard
from bot.storage.evidence_file import evidence_document
from bot.views.model_text import card_words
from bot.views.text import money

STALE_DAYS = 400
FEE_TOLERANCE_PCT = 0.005
NAME_CELLS = 26
COLUMNS = (
    *(("bad (p10)", 11), ("median", 9), ("good (p90)", 12)),
    *(("lost", 11), ("worst fall", 12), ("trades", 8), ("after luck", 12)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    """The evidence beside the account that asks."""

    evidence: EvidenceFile
    is_shipped: bool
    card: ModelCard | None
    account: str
    maker_fee_pct: float
    taker_fee_pct: float
    rules: Rules
    """Of the present settings."""
    own: Expectation | None
    """Of these rules on this account."""
    now: datetime
    changed: tuple[str, ...] = ()
    """Candle files that lie here and are no longer those that it was built from."""


def fees_differ(expectation: Expectation, maker_pct: float, taker_pct: float) -> bool:
    """Whether an account pays other fees than the evidence assumed (percent)."""
    maker, taker = expectation.maker_fee_pct, expectation.taker_fee_pct
    return abs(maker - maker_pct) > FEE_TOLERANCE_PCT or abs(taker - taker_pct) > FEE_TOLERANCE_PCT


def age_words(evidence: EvidenceFile, now: datetime) -> str:
    """Say how old the newest candle is, where it is too old; '' where it is not."""
    days = (now - evidence.to_at).days
    return f"its newest candle is {days} days old" if days > STALE_DAYS else ""


def stale_words(view: EvidenceView) -> list[str]:
    """What has changed since the evidence was built."""
    found = []
    age = age_words(view.evidence, view.now)
    if age:
        found.append(age)
    if view.changed:
        found.append(f"candles have changed since: {', '.join(view.changed)}; `evidence FOLDER` builds it anew")
    if view.own is None:
        others = [one for one in view.evidence.expectations if one.account == view.account]
        differs = min((one.rules.differences(view.rules) for one in others), key=len, default=[])
        what = f" (it has none with {', '.join(differs)})" if differs else ""
        found.append(f"nothing in it was found for the present settings on {view.account}{what}: it counts nothing")
    elif fees_differ(view.own, view.maker_fee_pct, view.taker_fee_pct):
        found.append(
            f"{view.account} takes {view.maker_fee_pct:g}/{view.taker_fee_pct:g} % here, "
            f"{view.own.maker_fee_pct:g}/{view.own.taker_fee_pct:g} % there"
        )
    return found


def about_words(evidence: EvidenceFile, own: Expectation, now: datetime) -> str:
    """Say in a few words what the trade filter counts."""
    text = (
        f"{own.trades} simulated trades at a quarter ({own.name}, {evidence.from_at:%Y-%m-%d} to "
        f"{evidence.last_day:%Y-%m-%d})"
    )
    age = age_words(evidence, now)
    return f"{text}, stale: {age}" if age else text


def evidence_view_document(view: EvidenceView) -> dict[str, Any]:
    """All of it."""
    return {
        "mode": "EVIDENCE",
        "shipped": view.is_shipped,
        "stale": stale_words(view),
        "account": view.account,
        "own": None if view.own is None else view.own.name,
        **evidence_document(view.evidence),
        "model": card_words(view.card),
        "model_armed": view.card is not None and view.card.armed,
    }


def render_evidence(view: EvidenceView) -> Iterator[str]:
    """The same in words."""
    evidence = view.evidence
    origin = "shipped with the program" if view.is_shipped else "your own"
    yield (
        f"EVIDENCE ({origin}) of {evidence.built_at:%Y-%m-%d} from {evidence.source} candles ({evidence.timeframe}), "
        f"{evidence.from_at:%Y-%m-%d} to {evidence.last_day:%Y-%m-%d}: recorded prices, simulated orders, nothing real."
    )
    for words in stale_words(view):
        yield f"Stale           {words}"
    yield ""
    head = "".join(f"{title:>{cells}}" for title, cells in COLUMNS)
    for account in dict.fromkeys(one.account for one in evidence.expectations):
        rows = [one for one in evidence.expectations if one.account == account]
        fees = f"{rows[0].maker_fee_pct:g} % maker, {rows[0].taker_fee_pct:g} % taker"
        yield f"Twelve months of {money(rows[0].equity_usd)} on {account}, {fees}"
        yield f"{'':<{NAME_CELLS}}{head}"
        for one in rows:
            lost = f"{one.lost} of {one.windows}"
            mark = "  <- present settings" if one is view.own else ""
            yield (
                f"{one.name:<{NAME_CELLS}}{one.p10_pct:>+10.1f}%{one.median_pct:>+8.1f}%{one.p90_pct:>+11.1f}%{lost:>11}"
                f"{one.max_drawdown_pct:>11.1f}%{one.trades:>8}{one.dsr * 100:>11.0f}%{mark}"
            )
        yield ""
    if any(one.trades < ENOUGH_TRADES for one in evidence.expectations):
        yield f"Trades          fewer than {ENOUGH_TRADES} closed ones are insufficient to tell anything of a trade"
    years = evidence.expectations[0].days / 365.25
    yield (
        f"Windows overlap: {years:.1f} years say as much as {years:.0f} independent ones. The server is not in it. "
        f"After luck: how sure the Sharpe ratio is above what the best of {evidence.looks} looks shows by chance."
    )
    yield from _default(evidence)
    for hits in evidence.regime:
        yield f"Regime {hits.coin:<8} {_hits(hits)}"
    yield from card_words(view.card)
    for name, digest in evidence.files:
        yield f"sha256 {digest}  {name}"
    yield (
        "The default was chosen on these very candles, and the coins are those that survived: expect less. Past prices "
        "promise nothing."
    )


def _default(evidence: EvidenceFile) -> Iterator[str]:
    if not evidence.chosen:
        yield "Default         not chosen anew: the rule asks for candles from 2018-09-01 to 2024-12-31"
    elif evidence.chosen_qualifies:
        yield f"Default         {evidence.chosen}, by the rule that was written down before (guide)"
    else:
        yield f"Default         {evidence.chosen}, though no candidate met the rule's conditions (guide)"


def _hits(hits: HitRate) -> str:
    if hits.periods == 0:
        return "has no period to be judged by"
    right, rose = share_estimate(hits.right, hits.periods), share_estimate(hits.rose, hits.periods)
    return (
        f"pointed the right way in {right.value * 100:.0f} % of {hits.periods} periods of 20 days (90 % range "
        f'{right.low * 100:.0f} to {right.high * 100:.0f}); always "it rises": {rose.value * 100:.0f} %'
    )
