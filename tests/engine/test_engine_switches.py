"""The guide's switches: what each setting turns the engine into, through the program's own composition."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from engine_rig import BTC, ETH, START, assert_protected, make_rig

from bot.bootstrap import open_simulated
from bot.clock import StopSignal
from bot.domain.modes import EngineMode, ExitRule, Strategy
from bot.engine.config import EngineConfig
from bot.settings import load_settings

D = Decimal


def config_of(folder: Path, **environ: str) -> EngineConfig:
    """The engine's configuration under these settings."""
    settings = load_settings(env_file=None, environ={"STATE_DIR": str(folder), **environ})
    session = open_simulated(settings, seed=None, pace_s=0.0, stop=StopSignal(), now=START)
    try:
        return session.engine.config
    finally:
        session.close()


def test_engine_without_settings_is_that_of_the_guide(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert (config.strategy, config.exit_rule) == (Strategy.ALLOCATION, ExitRule.LADDER)
    assert config.leg_weights == (0.3, 0.4, 0.3)
    assert (config.size_on_equity, config.floor_allowed) == (True, True)
    assert (config.follows_master, config.shuts_off_on_errors) == (False, True)
    assert (config.position_cap_frac, config.cash_buffer_frac) == (0.18, 0.15)
    assert (config.daily_loss_frac, config.drawdown_frac, config.max_losses) == (0.06, 0.12, 3)
    assert (config.min_score, config.min_confidence, config.min_reward) == (0.75, 0.7, 1.8)
    assert (config.min_trade_usd, config.min_equity_usd) == (5.0, 15.0)
    assert config.venue_minimum_usd == {"coinbase": 10.0, "kraken": 50.0}
    assert (config.max_positions_ceiling, config.risk_ceiling_pct) == (None, None)
    assert config.symbols == ("BTC/USD", "ETH/USD", "SOL/USD")
    assert config.fee_budget_frac == 0.01
    assert (config.max_spread_frac, config.max_disagreement_frac) == (0.005, 0.02)


@pytest.mark.parametrize(
    ("sizer", "weights"),
    [
        ("HYBRID", (0.2, 0.5, 0.3)),
        ("kelly", (1.0, 0.0, 0.0)),
        ("Volatility", (0.0, 1.0, 0.0)),
        ("EQUITY", (0.0, 0.0, 1.0)),
    ],
)
def test_position_sizer_chooses_the_legs(tmp_path: Path, sizer: str, weights: tuple[float, float, float]) -> None:
    own = {"KELLY_WEIGHT": "0.2", "VOLATILITY_WEIGHT": "0.5", "EQUITY_WEIGHT": "0.3"}
    assert config_of(tmp_path, POSITION_SIZER=sizer, **own).leg_weights == weights


def test_switches_reach_the_engine(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        PRO_MODE="False",
        MICRO_CAPITAL_MODE="False",
        AUTO_SHUTOFF_ON_ERRORS="False",
        MODE="MASTER_FOLLOW",
        STRATEGY="Breakout",
        EXIT_RULE="TRAIL_TIGHT",
        FORCE_CASH_BUFFER="40",
        MIN_RISK_REWARD="2.5",
        TRADE_ONLY="SOL,BTC",
    )
    assert (config.size_on_equity, config.floor_allowed) == (False, False)
    assert (config.shuts_off_on_errors, config.follows_master) == (False, True)
    assert (config.strategy, config.exit_rule) == (Strategy.BREAKOUT, ExitRule.TRAIL_TIGHT)
    assert (config.cash_buffer_frac, config.min_reward) == (0.4, 2.5)
    assert config.symbols == ("SOL/USD", "BTC/USD")


@pytest.mark.parametrize("mode", ["MASTER_ONLY", "INDEPENDENT"])
def test_modes_that_trade_alone_follow_nobody(tmp_path: Path, mode: str) -> None:
    assert config_of(tmp_path, MODE=mode).follows_master is False


def test_follower_without_a_master_enters_nothing_and_protects_what_it_holds(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH")).entered()
    rig.restart(follows_master=True)
    result = rig.cycle()
    assert result.mode is EngineMode.REDUCE_ONLY
    assert rig.entries() == []  # the one that rested is taken back
    assert_protected(rig)
    rig.next_decision(BTC=102.0, ETH=102.0)
    assert rig.decisions()[-2:] == [(BTC, "hold"), (ETH, "refuse")]
    assert rig.refusals()[-1] == ("follows_master", ETH)


def test_buffer_of_cash_is_that_of_the_settings(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash_buffer_frac=0.75)
    rig.first_cycle()
    # 25 may be spent, in two parts: the equity leg is .25 / 2. BTC takes 12.5 and the taker's 1.2 % of it, .15; for
    # ETH there are 12.35 / 1.006 = 12.2763 left.
    btc, eth = (float(entry.quantity * (entry.price or D(0))) for entry in rig.entries())
    assert (btc, eth) == (pytest.approx(12.5, abs=1e-4), pytest.approx(12.2763, abs=1e-4))
    assert rig.details(ETH)["binding"] == "cash_buffer"


@pytest.mark.parametrize("shuts_off", [True, False])
def test_shut_off_on_errors_is_a_switch(tmp_path: Path, shuts_off: bool) -> None:
    rig = make_rig(tmp_path, shuts_off_on_errors=shuts_off)
    rig.venue.hidden_candles.add(BTC)
    rig.first_cycle()
    rig.venue.down = {"balances"}
    for _ in range(5):
        rig.cycle()
    rig.venue.speak()
    rig.venue.hidden_candles.clear()
    rig.cycle(after_s=timedelta(minutes=5).total_seconds())
    assert bool(rig.entries()) is not shuts_off
    assert rig.refusals() == ([("error_shutoff", BTC)] if shuts_off else [])
