"""Accounts and markets in which much happens, for the engine and the backtest to agree on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from backtest_rig import settings_of, walk

from bot import bootstrap
from bot.bootstrap_config import engine_config_of
from bot.domain.market import TIMEFRAME_MS
from bot.domain.modes import TradingMode
from bot.engine.config import EngineConfig
from bot.settings_schema import Settings
from bot.storage.candle_files import SourceData

TREND = {"SIGNAL_ENSEMBLE": "False", "MARKET_REGIME_ENGINE": "False"}
"""The trend alone decides."""
LOW_FEES = TREND | {
    "COINBASE_MAKER_FEE_PCT": "0.1",
    "COINBASE_TAKER_FEE_PCT": "0.2",
    "KRAKEN_MAKER_FEE_PCT": "0.25",
    "KRAKEN_TAKER_FEE_PCT": "0.40",
}
ALL_SIGNALS = LOW_FEES | {"SIGNAL_ENSEMBLE": "True", "MARKET_REGIME_ENGINE": "True"}
FREE: dict[str, Any] = {"max_spread_frac": 0.5, "fee_budget_frac": 1.0, "min_score": 0.4, "min_reward": 0.1}
"""Looser than the settings allow, so that more happens."""
HALTS = FREE | {"drawdown_frac": 0.03, "position_cap_frac": 1.0}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One account on one market; ``changes`` are of the configuration, ``market`` of ``walk``."""

    seed: int
    timeframe: str = "4h"
    days: int = 150
    account: str = "kraken"
    equity: str = "1000"
    settings: Mapping[str, str] = field(default_factory=lambda: LOW_FEES)
    changes: Mapping[str, Any] = field(default_factory=lambda: FREE)
    market: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> SourceData:
        return walk(self.seed, timeframe=self.timeframe, days=self.days, **self.market)

    def found(self, folder: Path) -> Settings:
        return settings_of(folder, self.settings)

    @contextmanager
    def configured(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                bootstrap, "engine_config_of", lambda *a, **k: replace(engine_config_of(*a, **k), **self.changes)
            )
            yield

    def config(self, settings: Settings, data: SourceData) -> EngineConfig:
        config = engine_config_of(
            settings,
            mode=TradingMode.REPLAY,
            coins=tuple(data.coins),
            accounts=(self.account,),
            bar_source=data.source,
            poll_s=TIMEFRAME_MS[data.timeframe] / 1000,
            snapshot_every_cycles=1_000,
        )
        return replace(config, **self.changes)


def breakout(rule: str) -> dict[str, str]:
    return LOW_FEES | {"STRATEGY": "breakout", "EXIT_RULE": rule}


CASES = {
    "allocation": Case(seed=1, equity="260", settings=TREND, changes={}),
    "allocation, hours, gaps": Case(seed=2, timeframe="1h", days=60, market={"gaps": 0.05}),
    "allocation, wild": Case(seed=3, account="coinbase", equity="480", market={"wild": 2.5, "gaps": 0.01}),
    "allocation, large": Case(
        seed=4, timeframe="1d", days=300, equity="5000", changes=FREE | {"position_cap_frac": 1.0}
    ),
    "allocation, minutes": Case(seed=6, timeframe="5m", days=6, changes=FREE | {"position_cap_frac": 0.6}),
    "allocation, free cash": Case(
        seed=305, equity="100", account="coinbase", settings=LOW_FEES | {"PRO_MODE": "False"}
    ),
    "allocation, crumbs": Case(seed=203, equity="28", account="coinbase", market={"wild": 0.5, "drift": 0.008}),
    "halts": Case(seed=3, days=100, changes=HALTS, market={"wild": 2.0}),
    "sells in a halt": Case(
        seed=3, days=100, settings=LOW_FEES | {"HALT_FLATTENS": "True"}, changes=HALTS, market={"wild": 2.0}
    ),
    "bad days": Case(
        seed=1,
        settings=breakout("trail"),
        changes=FREE | {"daily_loss_frac": 0.008, "position_cap_frac": 1.0},
        market={"wild": 2.5},
    ),
    "ladder": Case(seed=11, settings=breakout("ladder"), market={"wild": 1.5}),
    "runner": Case(seed=12, timeframe="1h", days=60, equity="5000", settings=breakout("runner")),
    "trail": Case(seed=13, account="coinbase", equity="240", settings=breakout("trail")),
    "tight trail": Case(seed=14, timeframe="30m", days=30, settings=breakout("trail_tight"), market={"wild": 2.0}),
    "stops that rise": Case(
        seed=7,
        days=100,
        settings=breakout("trail_tight"),
        changes=FREE | {"position_cap_frac": 1.0},
        market={"wild": 2.0},
    ),
    "losses in a row": Case(
        seed=15, days=200, settings=breakout("trail_tight"), changes=FREE | {"max_losses": 1}, market={"wild": 1.5}
    ),
    "begins in a gap": Case(
        seed=121, timeframe="1d", days=300, settings=TREND, changes={}, market={"wild": 0.5, "gaps": 0.05, "coins": 1}
    ),
    "ensemble": Case(seed=21, timeframe="1d", days=400, settings=ALL_SIGNALS, market={"wild": 0.8}),
    "ensemble, hours, gaps": Case(seed=22, timeframe="1h", days=90, settings=ALL_SIGNALS, market={"gaps": 0.05}),
    "ensemble, as shipped": Case(seed=23, equity="250", days=400, settings={}, changes={}, market={"drift": 0.006}),
    "ensemble, breakout": Case(
        seed=24, days=300, settings=ALL_SIGNALS | {"STRATEGY": "breakout"}, market={"wild": 1.5}
    ),
    "regime alone": Case(
        seed=25,
        timeframe="1d",
        days=500,
        settings=LOW_FEES | {"MARKET_REGIME_ENGINE": "True"},
        changes=FREE | {"min_score": 0.0},
        market={"wild": 1.5},
    ),
    "doubts": Case(
        seed=33,
        timeframe="1d",
        days=700,
        settings=breakout("trail_tight"),
        changes=FREE | {"min_confidence": 0.99, "max_losses": 100},
        market={"wild": 2.0},
    ),
    "follows a master": Case(seed=1, days=60, settings=LOW_FEES | {"MODE": "MASTER_FOLLOW"}),
    "too small": Case(seed=17, days=60, equity="16", account="coinbase", settings=TREND, changes={}),
}
