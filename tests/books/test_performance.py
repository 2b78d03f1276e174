from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.books.performance import (
    HOURLY_MARKS_MAX,
    INDEX_FLOOR,
    Performance,
    daily_loss_pct,
    drawdown_pct,
    from_json,
    marked,
    reset_high_water,
    to_json,
    with_flow,
)
from bot.domain.errors import LedgerError

D = Decimal
NOON = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)


def _funded(amount: str = "100", at: datetime = NOON) -> Performance:
    return marked(with_flow(Performance(), D(amount), D(0)), D(amount), at)


def test_performance_first_deposit_buys_units_at_one() -> None:
    p = _funded("260.50")
    assert (p.units, p.index, p.high_water_mark) == (D("260.50"), D(1), D(1))
    assert drawdown_pct(p) == 0.0
    assert daily_loss_pct(p) == 0.0


def test_performance_before_any_deposit_stands_at_one() -> None:
    p = marked(Performance(), D(0), NOON)
    assert (p.units, p.index) == (D(0), D(1))
    assert daily_loss_pct(Performance()) == drawdown_pct(Performance()) == 0.0


def test_performance_gain_and_fall_drawdown_from_the_high_water_mark() -> None:
    p = marked(_funded(), D(125), NOON + timedelta(minutes=1))
    p = marked(p, D(110), NOON + timedelta(minutes=2))
    # Index 1.25 then 1.10: 1 - 1.10 / 1.25 = 12 %
    assert (p.index, p.high_water_mark) == (D("1.1"), D("1.25"))
    assert drawdown_pct(p) == pytest.approx(12.0, abs=1e-12)
    # The UTC day and the rolling window began at 1.00: no daily loss.
    assert daily_loss_pct(p) == 0.0


def test_performance_deposit_in_a_drawdown_keeps_the_percentage() -> None:
    p = marked(_funded(), D(90), NOON + timedelta(minutes=1))
    p = marked(with_flow(p, D(910), D(90)), D(1000), NOON + timedelta(minutes=2))
    # 910 at index 0.90 buy 1011.11... units.
    assert float(p.units) == pytest.approx(100 + 910 / 0.9, rel=1e-12)
    assert drawdown_pct(p) == pytest.approx(10.0, abs=1e-9)
    assert daily_loss_pct(p) == pytest.approx(10.0, abs=1e-9)


def test_performance_withdrawal_redeems_units_and_is_no_loss() -> None:
    p = marked(with_flow(_funded("200"), D(-150), D(200)), D(50), NOON + timedelta(minutes=1))
    assert (p.units, p.index) == (D(50), D(1))
    assert drawdown_pct(p) == daily_loss_pct(p) == 0.0


def test_performance_total_withdrawal_keeps_index_and_drawdown_for_the_next_deposit() -> None:
    p = marked(_funded(), D(80), NOON + timedelta(minutes=1))
    empty = with_flow(p, D(-80), D(80))
    assert empty.units == 0
    empty = marked(empty, D(0), NOON + timedelta(days=3))
    assert empty.index == D("0.8")
    again = marked(with_flow(empty, D(40), D(0)), D(40), NOON + timedelta(days=4))
    assert (again.units, again.index) == (D(50), D("0.8"))  # 40 / 0.8
    assert drawdown_pct(again) == pytest.approx(20.0, abs=1e-12)


def test_performance_withdrawal_above_equity_ends_all_units() -> None:
    p = with_flow(_funded(), D("-100.05"), D(100))
    assert p.units == 0
    # Value that turns up afterwards is neither profit nor loss.
    p = marked(p, D("0.50"), NOON + timedelta(minutes=1))
    assert (p.units, p.index) == (D("0.5"), D(1))


@pytest.mark.parametrize("equity", ["0", "-5"])
def test_performance_equity_gone_is_a_full_drawdown_that_fresh_money_does_not_heal(equity: str) -> None:
    p = marked(_funded(), D(equity), NOON + timedelta(minutes=1))
    assert p.index == INDEX_FLOOR
    assert drawdown_pct(p) == pytest.approx(100.0, abs=1e-6)
    p = with_flow(p, D(50), D(equity))
    if equity == "0":
        p = marked(p, D(50), NOON + timedelta(minutes=2))
        # 50 / 1e-9 = 5e10 new units beside the 100 old ones, worth 1e-7 together: that is the error.
        assert float(p.index) == pytest.approx(1e-9, rel=1e-8)
    assert drawdown_pct(p) > 99.99
    assert p.units > D("4e10")


def test_performance_reset_high_water_ends_the_drawdown_only() -> None:
    p = marked(_funded(), D(80), NOON + timedelta(minutes=1))
    reset = reset_high_water(p)
    assert drawdown_pct(reset) == 0.0
    assert daily_loss_pct(reset) == pytest.approx(20.0, abs=1e-12)
    assert replace(reset, high_water_mark=D(1)) == p


def test_performance_new_day_starts_at_the_last_mark_before_midnight() -> None:
    evening = datetime(2024, 3, 1, 23, 59, 30, tzinfo=UTC)
    p = _funded("100", evening - timedelta(hours=1))
    p = marked(p, D(98), evening)
    p = marked(p, D(97), evening + timedelta(minutes=1))  # 00:00:30
    assert p.day_start_index == D("0.98")
    p = marked(p, D(96), evening + timedelta(minutes=2))
    assert p.day_start_index == D("0.98")


def test_performance_mark_at_midnight_is_the_day_start() -> None:
    midnight = datetime(2024, 3, 2, tzinfo=UTC)
    p = _funded("100", midnight - timedelta(hours=1))
    p = marked(p, D(97), midnight)
    assert p.day_start_index == D("0.97")


def test_performance_daily_loss_is_the_worse_of_day_and_rolling_window() -> None:
    p = _funded("100", datetime(2024, 3, 1, 18, 0, tzinfo=UTC))
    p = marked(p, D(96), datetime(2024, 3, 1, 23, 59, tzinfo=UTC))
    p = marked(p, D(94), datetime(2024, 3, 2, 10, 0, tzinfo=UTC))
    # Day: 94 / 96 - 1 = -2.08 %. Rolling: all marks are younger than 24 h, the oldest is 100: -6 %.
    assert daily_loss_pct(p) == pytest.approx(6.0, abs=1e-9)
    p = marked(p, D(110), datetime(2024, 3, 2, 20, 0, tzinfo=UTC))
    p = marked(p, D(120), datetime(2024, 3, 3, 0, 0, tzinfo=UTC))
    p = marked(p, D(108), datetime(2024, 3, 3, 17, 0, tzinfo=UTC))
    # Rolling since 2 March 17:00: the newest mark at or before it is 94 of 10:00: a gain.
    # Day: it began at 120 at 00:00; 1 - 108 / 120 = 10 %.
    assert daily_loss_pct(p) == pytest.approx(10.0, abs=1e-9)


def test_performance_rolling_window_ends_exactly_24_hours_ago() -> None:
    p = _funded("100", NOON)
    p = marked(p, D(90), NOON + timedelta(hours=1))
    p = marked(p, D(91), datetime(2024, 3, 1, 23, 59, tzinfo=UTC))
    almost = marked(p, D(90), NOON + timedelta(hours=24, minutes=59))
    # The mark of 12:00 is the newest at least 24 h old: 1 - 90 / 100.
    assert daily_loss_pct(almost) == pytest.approx(10.0, abs=1e-9)
    after = marked(p, D(90), NOON + timedelta(hours=25))
    # Now it is the one of 13:00 (90: no loss); the day began at 91: 1 - 90 / 91 = 1.0989 %
    assert daily_loss_pct(after) == pytest.approx(100 / 91, abs=1e-9)


def test_performance_hourly_marks_are_bounded_first_of_each_hour() -> None:
    p = _funded("100", NOON)
    for minute in range(30, 60 * 60, 30):  # 60 hours, two marks in each
        p = marked(p, D(100) + minute, NOON + timedelta(minutes=minute))
    assert len(p.hourly) == HOURLY_MARKS_MAX
    assert p.hourly[-1].at == NOON + timedelta(hours=59)
    assert p.hourly[0].at == NOON + timedelta(hours=12)
    assert p.hourly[0].index == D("8.2")  # 100 + 12 x 60 = 820


def test_performance_clock_set_back_goes_on() -> None:
    p = _funded("100", NOON + timedelta(days=30))
    for hour in range(26):
        p = marked(p, D(100), NOON + timedelta(hours=hour))
    p = marked(p, D(95), NOON + timedelta(hours=26))
    assert len(p.hourly) == 28  # the one that ran ahead, 26 and the last: none is left out
    assert daily_loss_pct(p) == pytest.approx(5.0, abs=1e-9)


def test_performance_json_round_trip_is_exact() -> None:
    p = with_flow(_funded("100.01"), D("33.33"), D("77.77"))
    p = marked(p, D("111.11"), NOON + timedelta(hours=3, microseconds=7))
    assert from_json(json.loads(json.dumps(to_json(p)))) == p
    assert from_json(json.loads(json.dumps(to_json(Performance())))) == Performance()


@pytest.mark.parametrize(
    "change",
    [
        {"units": "-1"},
        {"units": "abc"},
        {"index": "NaN"},
        {"index": None},
        {"high_water_mark": "0.5"},
        {"marked_at": "yesterday"},
        {"marked_at": "2024-03-01T12:00:00"},
        {"hourly": []},
        {"hourly": [["2024-03-01T12:00:00+00:00"]]},
    ],
)
def test_performance_broken_json_raises_ledger_error(change: dict[str, object]) -> None:
    with pytest.raises(LedgerError, match="performance record in the ledger cannot be read"):
        from_json({**to_json(_funded()), **change})


def test_performance_json_without_a_key_or_object_raises_ledger_error() -> None:
    with pytest.raises(LedgerError, match="KeyError: 'units'"):
        from_json({key: value for key, value in to_json(_funded()).items() if key != "units"})
    with pytest.raises(LedgerError, match="is list, not an object"):
        from_json([])


def test_performance_naive_time_is_refused() -> None:
    with pytest.raises(AssertionError, match="tz-aware"):
        marked(Performance(), D(1), NOON.replace(tzinfo=None))


cents = st.integers(1, 10**8).map(lambda units: Decimal(units).scaleb(-2))


@given(first=cents, equity=cents, flows=st.lists(st.integers(-(10**8), 10**8).filter(bool), max_size=15))
def test_performance_flows_alone_never_move_index_or_drawdown(
    first: Decimal, equity: Decimal, flows: list[int]
) -> None:
    p = marked(with_flow(Performance(), first, D(0)), first, NOON)
    p = marked(p, equity, NOON + timedelta(minutes=1))
    index, drawdown = p.index, drawdown_pct(p)
    for number, units in enumerate(flows, start=2):
        amount = max(Decimal(units).scaleb(-2), -equity)  # nobody withdraws more than there is
        if amount == 0:
            continue
        p = with_flow(p, amount, equity)
        equity += amount
        p = marked(p, equity, NOON + timedelta(minutes=number))
        assert p.index == pytest.approx(index, rel=D("1e-9"))
        assert drawdown_pct(p) == pytest.approx(drawdown, abs=1e-9)


@given(first=cents, steps=st.lists(st.tuples(st.integers(20, 500), cents), min_size=1, max_size=8))
def test_performance_index_times_units_is_equity(first: Decimal, steps: list[tuple[int, Decimal]]) -> None:
    p = marked(with_flow(Performance(), first, D(0)), first, NOON)
    equity = first
    for number, (move_pct, deposit) in enumerate(steps, start=1):
        now = NOON + timedelta(hours=5 * number)
        equity = equity * move_pct / 100
        p = marked(p, equity, now)
        assert abs(p.index * p.units - equity) < D("1e-9")
        p = with_flow(p, deposit, equity)
        equity += deposit
        p = marked(p, equity, now)
        assert abs(p.index * p.units - equity) < D("1e-9")
