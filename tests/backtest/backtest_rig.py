"""The engine's replay and the backtest over the same candles, and what each of them did, in the same words."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from bot.backtest import layout as at
from bot.backtest.layout import Book
from bot.backtest.run import fills_of
from bot.backtest.words import reason_words, refusal_names
from bot.bootstrap import open_replay
from bot.bootstrap_backtest import prepared_as
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle
from bot.engine.config import EngineConfig
from bot.engine.engine import CycleResult
from bot.engine.runner import RunTally, run_engine
from bot.settings import load_settings
from bot.settings_schema import Settings
from bot.storage.candle_files import CoinData, SourceData
from bot.storage.candle_reader import CandleSeries
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path

D = Decimal
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
START_MS = 1_717_200_000_000
"""2024-06-01 00:00 UTC."""
WARM_UP_DAYS = 130
COINS = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0}

Fill = tuple[str, int, str, Decimal, Decimal, Decimal, str]
"""Coin, ms, side, price, quantity, fee, reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did."""

    fills: list[Fill]
    refusals: dict[str, int]
    orders: int
    equity: float
    drawdown: float
    exposure: float


def settings_of(folder: Path, changes: Mapping[str, str]) -> Settings:
    env = folder / ".env"
    env.write_text(f"STATE_DIR={folder}\n" + "".join(f"{name}={value}\n" for name, value in changes.items()))
    return load_settings(env_file=env, environ={})


def walk(
    seed: int, *, timeframe: str, days: int, wild: float = 1.0, gaps: float = 0.0, coins: int = 3, drift: float = 0.004
) -> SourceData:
    """Random walks that move together, with changing drifts, crashes, gaps in the bars, and prices on whole cents."""
    chance, bar_ms = random.Random(seed), TIMEFRAME_MS[timeframe]
    names, in_a_day = list(COINS)[:coins], MS_PER_DAY // bar_ms
    bars: dict[str, list[Candle]] = {name: [] for name in names}
    prices = {name: COINS[name] for name in names}
    scale, now_drift = wild * math.sqrt(1 / in_a_day), 0.0
    for i in range((WARM_UP_DAYS + days + 1) * in_a_day):
        if i % (15 * in_a_day) == 0:
            now_drift = chance.choice((3.0, 1.5, -2.0)) * drift / in_a_day * 2
        common = chance.gauss(0.0, 0.025) * scale
        crash = -0.12 * wild if chance.random() < 0.004 * wild / in_a_day else 0.0
        for name in names:
            open_ms = START_MS - WARM_UP_DAYS * MS_PER_DAY + i * bar_ms
            opening = round(prices[name] * math.exp(chance.gauss(0.0, 0.002) * scale), 2)
            close = round(opening * math.exp(now_drift + common + crash + chance.gauss(0.0, 0.018) * scale), 2)
            high = round(max(opening, close) * (1 + abs(chance.gauss(0.0, 0.01)) * scale), 2)
            low = round(min(opening, close) * (1 - abs(chance.gauss(0.0, 0.01)) * scale), 2)
            prices[name] = close
            bars[name].append(Candle(open_ms, opening, high, low, close, 1.0 + i * 7919 % 13))
    found = {}
    for name, all_bars in bars.items():
        execution, daily = CandleSeries(timeframe), CandleSeries("1d")
        missing = 0
        for bar in all_bars:
            missing = missing - 1 if missing else chance.randint(1, 5) if chance.random() < gaps else 0
            if not missing or bar.open_ms < START_MS:
                execution.append(bar)
        for first in range(0, len(all_bars), in_a_day):
            of_day = all_bars[first : first + in_a_day]
            if chance.random() < gaps / 4:
                continue  # a day that the venue never told
            daily.append(
                Candle(
                    of_day[0].open_ms,
                    of_day[0].open,
                    max(bar.high for bar in of_day),
                    min(bar.low for bar in of_day),
                    of_day[-1].close,
                    sum(bar.volume for bar in of_day),
                )
            )
        found[name] = CoinData(coin=name, quote="USD", execution=execution, daily=daily, gaps=(), files=())
    return SourceData(
        source="walk",
        timeframe=timeframe,
        from_ms=START_MS,
        to_ms=START_MS + days * MS_PER_DAY,
        coins=found,
        missing={},
        ignored=(),
    )


def by_engine(settings: Settings, data: SourceData, *, account: str, equity: str) -> tuple[Outcome, EngineConfig]:
    """Let the whole engine run over the candles, as `run --replay` does."""
    start, end = (datetime.fromtimestamp(ms / 1000, tz=UTC) for ms in (data.from_ms, data.to_ms))
    session = open_replay(settings, data=data, accounts=(account,), equity=D(equity), start=start, now=start)
    tally, fills = RunTally(), []

    def on_cycle(result: CycleResult) -> None:
        tally.add(result)
        for fill in result.fills:
            order = session.engine._ledger.order(fill.client_order_id)
            assert order is not None
            ms = round(fill.at.timestamp() * 1000)
            coin = fill.symbol.partition("/")[0]
            fills.append((coin, ms, fill.side.value, fill.price, fill.quantity, fill.fee, order.reason))

    try:
        run_engine(session.engine, session.clock, stopped=lambda: False, on_cycle=on_cycle, until=end)
        with LedgerReader(ledger_path(session.folder)) as reader:
            refusals = reader.refusal_counts()
        config = session.engine.config
    finally:
        session.close()
    outcome = Outcome(
        fills=fills,
        refusals=refusals,
        orders=tally.orders,
        equity=tally.end_equity,
        drawdown=tally.max_drawdown_frac,
        exposure=tally.exposure_frac,
    )
    return outcome, config


def by_backtest(
    settings: Settings, config: EngineConfig, data: SourceData, *, account: str, equity: str, compiled: bool = False
) -> Outcome:
    """Let the backtest run over the same candles."""
    return outcome_of(
        book_of(settings, config, data, account=account, equity=equity, compiled=compiled), list(data.coins)
    )


def book_of(
    settings: Settings, config: EngineConfig, data: SourceData, *, account: str, equity: str, compiled: bool = False
) -> Book:
    ready = prepared_as(config, settings, data=data, account=account, equity=D(equity), compiled=compiled)
    return ready.run()


def outcome_of(book: Book, coins: list[str]) -> Outcome:
    names = refusal_names()
    return Outcome(
        fills=[
            (
                coins[fill.coin],
                fill.at_ms,
                "buy" if fill.buys else "sell",
                D(fill.cents) / at.CENT_UNITS,
                D(fill.lots) / at.LOT_UNITS,
                D(fill.fee) / at.FEE_UNITS,
                reason_words(fill.why, fill.note),
            )
            for fill in fills_of(book)
        ],
        refusals={names[code]: int(count) for code, count in enumerate(book.refused) if count},
        orders=int(book.total[at.ORDERS]),
        equity=float(book.rate[at.EQUITY]),
        drawdown=float(book.rate[at.WORST_DRAWDOWN]),
        exposure=float(book.rate[at.EXPOSURE_SUM] / book.rate[at.CYCLES]),
    )


def assert_same(engine: Outcome, backtest: Outcome) -> None:
    for number, (theirs, ours) in enumerate(zip(engine.fills, backtest.fills, strict=False)):
        assert ours == theirs, f"fill {number}"
    assert len(backtest.fills) == len(engine.fills)
    assert backtest.refusals == engine.refusals
    assert backtest.orders == engine.orders
    assert abs(backtest.equity - engine.equity) < 1e-9 * engine.equity
    assert abs(backtest.drawdown - engine.drawdown) < 1e-12
    assert abs(backtest.exposure - engine.exposure) < 1e-12
