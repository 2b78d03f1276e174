"""Days of a run rebuilt from its fills, what holding was worth on each of them, and the fan of the next year."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from backtest_cases import CASES
from test_backtest_hold import BAR_MS, LATER, START_MS, UP, market

from bot.backtest import layout as at
from bot.backtest.bootstrap import Histories, resample
from bot.backtest.course import course_of, guards_reached, held_of, last_cycle_ms
from bot.backtest.fan import FAN_DAYS, fan_of
from bot.backtest.guard import note_guard
from bot.backtest.metrics import quantile
from bot.backtest.result import hold_return, matched_hold
from bot.bootstrap_backtest import Prepared, prepared_as
from bot.domain.market import MS_PER_DAY

RETURNS = [0.01, -0.02, 0.03, 0.0, -0.06, 0.03, 0.02]


def ready(folder: Path, name: str) -> Prepared:
    case = CASES[name]
    settings, data = case.found(folder), case.data()
    config = case.config(settings, data)
    return prepared_as(config, settings, data=data, account=case.account, equity=Decimal(case.equity), compiled=False)


@pytest.mark.parametrize("name", ["allocation, hours, gaps", "allocation, large"])
def test_days_of_a_run_end_where_the_run_ends(tmp_path: Path, name: str) -> None:
    of = ready(tmp_path, name)
    book = of.run()
    found = course_of(of.market, of.terms, book)  # it asserts that the fills tell where the cash has gone
    days = (of.market.end_ms - of.market.start_ms) // MS_PER_DAY
    assert {len(row) for row in (found.at_ms, found.equity, found.drawdown, found.exposure, found.fees_usd)} == {
        days + 1
    }
    assert found.at_ms == sorted(set(found.at_ms))
    assert (found.at_ms[0], found.at_ms[-1]) == (of.market.start_ms, of.market.end_ms)
    assert found.equity[0] == of.terms.equity_usd
    assert found.equity[-1] == book.rate[at.EQUITY]
    assert found.fees_usd[-1] == book.total[at.FEES_PAID] / at.FEE_UNITS > 0
    assert found.exposure[-1] == pytest.approx(1 - book.total[at.CASH] / at.MONEY_UNITS / book.rate[at.EQUITY])
    assert 0.0 < max(found.drawdown) <= book.rate[at.WORST_DRAWDOWN]
    assert 0.0 == min(found.exposure) < max(found.exposure) < 1.0


def test_last_cycle_of_a_day_is_the_last_before_midnight() -> None:
    of = market(BTC=UP)  # bars of six hours, cycles a minute after each opening, nine bars
    found = [last_cycle_ms(of, number) for number in range(3)]
    assert found == [START_MS + 3 * BAR_MS + 60_000, START_MS + 7 * BAR_MS + 60_000, START_MS + 9 * BAR_MS]


def test_holding_day_by_day_ends_as_the_whole(tmp_path: Path) -> None:
    terms = ready(tmp_path, "allocation").terms._replace(half_spread=0, taker=0.01)
    of = market(BTC=UP, SOL=LATER)
    found = held_of(of, terms, 0.5)
    assert found.at_ms == [START_MS, START_MS + 4 * BAR_MS, START_MS + 8 * BAR_MS, START_MS + 9 * BAR_MS]
    assert found.all_of_it[-1] == pytest.approx(1 + hold_return(of, terms), rel=1e-12)
    assert found.matched[-1] == pytest.approx(1 + matched_hold(of, 0.5), rel=1e-12)
    # 100 -> 120 with 1 % at both ends; the other coin has no price on the first day.
    assert found.all_of_it[:2] == [1.0, pytest.approx(1.2 * 0.99 / 1.01)]
    assert found.matched[:2] == [1.0, pytest.approx(1.1)]


def test_holding_a_coin_without_any_price_is_holding_nothing(tmp_path: Path) -> None:
    of = market(BTC=UP)
    empty = of._replace(opens=[0] * len(of.opens), closes=[0] * len(of.closes))
    assert held_of(empty, ready(tmp_path, "allocation").terms, 0.5).all_of_it == [1.0] * 4


@pytest.mark.parametrize("name", ["halts", "bad days", "losses in a row"])
def test_limits_are_noted_with_their_times(tmp_path: Path, name: str) -> None:
    of = ready(tmp_path, name)
    book = of.run()
    counts = (book.total[at.LOSS_DAYS], book.total[at.DRAWDOWNS], book.total[at.STREAKS])
    found = guards_reached(book)
    names = ("daily_loss", "drawdown", "loss_streak")
    assert tuple(len(found.get(name, [])) for name in names) == counts
    assert sum(counts) > 0
    for moments in found.values():
        assert moments == sorted(moments)
        assert all(of.market.start_ms < moment <= of.market.end_ms for moment in moments)
    days = [moment // MS_PER_DAY for moment in found.get("daily_loss", [])]
    assert len(set(days)) == len(days)  # once a day


def test_limits_beyond_the_tables_end_are_counted_only() -> None:
    total, rows = [0] * at.TOTAL_PLACES, [[0, 0]]
    note_guard(total, rows, at.STREAK_GUARD, 7)
    total[at.STREAKS] = 1
    note_guard(total, rows, at.DRAWDOWN_GUARD, 8)
    assert rows == [[7, at.STREAK_GUARD]]


def test_fan_draws_what_the_bootstrap_draws() -> None:
    paths = 40
    drawn = Histories(*([0.0] * paths for _ in Histories._fields))
    resample(RETURNS, len(RETURNS), FAN_DAYS, 3.0, 5, drawn, [0.0] * FAN_DAYS)
    found = fan_of(RETURNS, block=3.0, drawdown_limit=0.5, seed=5, paths=paths)
    ordered = sorted(drawn.growth)
    for share, band in found.bands.items():
        assert len(band) == FAN_DAYS + 1
        assert band[0] == 1.0
        assert band[-1] == pytest.approx(quantile(ordered, share), rel=1e-12)
    assert found.lost.share == sum(value < 1.0 for value in drawn.growth) / paths
    assert found.fell.share == sum(value >= 0.5 for value in drawn.drawdown) / paths
    assert 0.0 < found.fell.share < 1.0
    columns = zip(*(found.bands[share] for share in sorted(found.bands)), strict=True)
    assert all(list(column) == sorted(column) for column in columns)


def test_fan_of_one_return_is_a_line() -> None:
    found = fan_of([0.01], block=20.0, drawdown_limit=0.12, seed=1, paths=10, days=2)
    assert set(map(tuple, found.bands.values())) == {(1.0, 1.01, 1.01 * 1.01)}
    assert (found.fell.share, found.lost.share) == (0.0, 0.0)
    assert found.fell.high > 0.0  # ten paths prove little
