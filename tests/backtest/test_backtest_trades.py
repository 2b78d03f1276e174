"""The backtest makes the engine's trades: coin, time, side, price, quantity, fee and reason, and its refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from backtest_cases import CASES, LOW_FEES
from backtest_rig import DATA, assert_same, by_backtest, by_engine, settings_of
from sweep_rig import bench, searched

from bot.cli.values import end_ms_of, start_ms_of
from bot.storage.candle_files import open_source


@pytest.mark.parametrize("name", CASES)
def test_backtest_makes_the_trades_of_the_engine(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    settings, data = case.found(tmp_path), case.data()
    with case.configured():
        engine, config = by_engine(settings, data, account=case.account, equity=case.equity)
    backtest = by_backtest(settings, config, data, account=case.account, equity=case.equity)
    assert_same(engine, backtest)


def test_cases_let_something_happen(tmp_path: Path) -> None:
    reasons: set[str] = set()
    codes: set[str] = set()
    for name, case in CASES.items():
        settings, data = case.found(tmp_path), case.data()
        config = case.config(settings, data)
        outcome = by_backtest(settings, config, data, account=case.account, equity=case.equity)
        assert bool(outcome.fills) != (name in {"too small", "follows a master"}), name
        reasons |= {fill[-1].partition(":")[0].partition(" ")[0] for fill in outcome.fills}
        codes |= outcome.refusals.keys()
    assert reasons == {"allocation", "breakout", "protective", "score", "target", "the", "too", "flatten", "20"}
    wanted = {
        "entry_not_filled",
        "loss_streak",
        "drawdown",
        "daily_loss",
        "max_positions",
        "signal_too_weak",
        "heat",
        "follows_master",
        "low_confidence",
        "market_flat",
        "market_crash",
    }
    assert wanted <= codes


def test_compiled_form_does_what_the_plain_one_does(tmp_path: Path) -> None:
    """One test for all of it, so that the compiler runs once."""
    for case in CASES.values():
        settings, data = case.found(tmp_path), case.data()
        config = case.config(settings, data)
        plain = by_backtest(settings, config, data, account=case.account, equity=case.equity)
        compiled = by_backtest(settings, config, data, account=case.account, equity=case.equity, compiled=True)
        assert compiled == plain
    found = [
        searched(bench(), workers=workers, compiled=is_compiled) for workers, is_compiled in ((1, False), (2, True))
    ]
    assert repr(found[1].found) == repr(found[0].found)
    assert found[1].held_out.winner.score == found[0].held_out.winner.score


REAL = {
    # name: settings, first day, account, equity
    "allocation": ({}, "2018-09-01", "kraken", "250"),
    "breakout": ({"STRATEGY": "breakout", "EXIT_RULE": "runner"} | LOW_FEES, "2021-01-01", "coinbase", "1000"),
}


@pytest.mark.skipif(not DATA.is_dir(), reason="no real candles in ../shared/data beside the repository")
@pytest.mark.parametrize("name", REAL)
def test_years_of_real_candles_bring_the_same_trades(tmp_path: Path, name: str) -> None:
    """The continuous run of `run --replay`, without a restart."""
    changes, first, account, equity = REAL[name]
    settings = settings_of(tmp_path, changes)
    data = open_source(
        DATA, "binance", settings.trade_only, timeframe="4h", from_ms=start_ms_of(first), to_ms=end_ms_of("2024-12-31")
    )
    engine, config = by_engine(settings, data, account=account, equity=equity)
    assert_same(engine, by_backtest(settings, config, data, account=account, equity=equity))
    assert len(engine.fills) > 60
