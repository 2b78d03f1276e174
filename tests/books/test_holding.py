from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.books.holding import Day, Moved, Quote, all_held, in_cash, mean_exposure, share_held, worst_fall

T0 = datetime(2024, 3, 1, tzinfo=UTC)


def at(days: float) -> datetime:
    return T0 + timedelta(days=days)


def quotes(*prices: dict[str, float]) -> list[Quote]:
    return [Quote(at(day), those) for day, those in enumerate(prices)]


def btc(*prices: float) -> list[Quote]:
    return quotes(*({"BTC": price} for price in prices))


def test_share_held_of_two_coins_with_a_deposit_in_the_middle() -> None:
    two = quotes({"BTC": 100, "ETH": 10}, {"BTC": 110, "ETH": 10}, {"BTC": 121, "ETH": 8})
    moves = [Moved(at(0), 100.0), Moved(at(1), 45.0)]
    # day 1: (10 % + 0 %) / 2 = 5 %, of half the money 2.5 %: 102.50, with the deposit 147.50
    # day 2: (10 % - 20 %) / 2 = -5 %, of half -2.5 %: 143.8125
    found = share_held(moves, two, 0.5)
    assert found.worth == pytest.approx(143.8125, abs=1e-12)
    assert found.worst_fall == pytest.approx(0.025, abs=1e-12)


def test_all_held_of_two_coins_with_a_deposit_in_the_middle() -> None:
    two = quotes({"BTC": 100, "ETH": 10}, {"BTC": 110, "ETH": 10}, {"BTC": 121, "ETH": 8})
    moves = [Moved(at(0), 100.0), Moved(at(1), 44.0)]
    # day 0: 0.5 BTC and 5 ETH; day 1: worth 105, 44 buy 0.2 BTC and 2.2 ETH
    # day 2: 0.7 x 121 + 7.2 x 8 = 84.70 + 57.60
    found = all_held(moves, two)
    assert found.worth == pytest.approx(142.30, abs=1e-12)
    # 105 + 44 = 149 fell to 142.30
    assert found.worst_fall == pytest.approx(1 - 142.30 / 149, abs=1e-12)


def test_all_held_withdrawal_sells_of_each_coin_alike() -> None:
    two = quotes({"BTC": 100, "ETH": 10}, {"BTC": 300, "ETH": 10}, {"BTC": 150, "ETH": 20})
    # worth 200 on day 1, a quarter of which goes: 0.375 BTC and 3.75 ETH stay
    found = all_held([Moved(at(0), 100.0), Moved(at(1), -50.0)], two)
    assert found.worth == pytest.approx(0.375 * 150 + 3.75 * 20, abs=1e-12)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_more_taken_out_than_was_there_is_owed_and_earns_nothing(share: float) -> None:
    prices = btc(100, 40, 80, 80)
    moves = [Moved(at(0), 100.0), Moved(at(1), -120.0), Moved(at(2), 90.0)]
    # all: 40 - 120 = -80, then +90 leaves 10; half: 70 - 120 = -50, then 40
    worth = {1.0: 10.0, 0.5: 40.0}[share]
    assert share_held(moves, prices, share).worth == pytest.approx(worth, abs=1e-12)
    assert share_held(moves[:2], prices, share).worth == pytest.approx(worth - 90, abs=1e-12)
    if share == 1.0:
        assert all_held(moves, prices).worth == pytest.approx(10.0, abs=1e-12)
        assert all_held(moves[:2], prices).worth == pytest.approx(-80.0, abs=1e-12)


def test_coin_that_is_listed_later_is_held_from_its_first_price() -> None:
    two = quotes({"BTC": 100}, {"BTC": 110, "SOL": 5}, {"BTC": 110, "SOL": 10})
    # BTC alone 10 %, then (0 + 100 %) / 2
    assert share_held([Moved(at(0), 100.0)], two, 1.0).worth == pytest.approx(165.0, abs=1e-12)
    # the first deposit buys 1 BTC, the second is split: 0.5 BTC and 11 SOL
    found = all_held([Moved(at(0), 100.0), Moved(at(1), 110.0)], two)
    assert found.worth == pytest.approx(1.5 * 110 + 11 * 10, abs=1e-12)


def test_coin_without_a_price_today_keeps_its_last() -> None:
    gap = quotes({"BTC": 100, "ETH": 10}, {"BTC": 110}, {"BTC": 110, "ETH": 12})
    assert all_held([Moved(at(0), 100.0)], gap).worth == pytest.approx(0.5 * 110 + 5 * 12, abs=1e-12)
    # 10 % of BTC alone, then (0 + 20 %) / 2
    assert share_held([Moved(at(0), 100.0)], gap, 1.0).worth == pytest.approx(121.0, abs=1e-12)


def test_money_that_came_before_any_price_buys_at_the_first_one() -> None:
    late = quotes({}, {"BTC": 100}, {"BTC": 120})
    assert all_held([Moved(at(0), 50.0)], late).worth == pytest.approx(60.0, abs=1e-12)


@pytest.mark.parametrize(("hours", "worth"), [(11.9, 200.0), (12.0, 200.0), (12.1, 100.0)])
def test_deposit_counts_from_the_nearest_close(hours: float, worth: float) -> None:
    # at 0 h the price is 1, at 24 h it is 2, as it is at 48 h
    assert all_held([Moved(at(hours / 24), 100.0)], btc(1, 2, 2)).worth == pytest.approx(worth, abs=1e-9)


def test_falls_before_the_money_came_and_after_it_went_do_not_count() -> None:
    moves = [Moved(at(1), 100.0), Moved(at(2), -100.0)]
    found = share_held(moves, btc(100, 50, 50, 10), 1.0)
    assert found.worth == pytest.approx(0.0, abs=1e-12)
    assert found.worst_fall == 0.0
    assert all_held(moves, btc(100, 50, 50, 10)).worst_fall == 0.0


def test_cash_with_a_yield_compounds_each_amount_from_its_day() -> None:
    start, year = T0, timedelta(days=365.25)
    moves = [Moved(start, 100.0), Moved(start + year, 50.0), Moved(start + year, -20.0)]
    # 100 x 1.04^2 + 30 x 1.04
    assert in_cash(moves, start + 2 * year, 0.04) == pytest.approx(139.36, abs=1e-9)
    assert in_cash(moves, start + 2 * year, 0.0) == 130.0


def test_mean_exposure_weighs_by_money_and_by_the_days_without_a_record() -> None:
    days = [
        Day(date(2024, 3, 1), 100.0, 0.10, 1.0),
        Day(date(2024, 3, 4), 300.0, 0.50, 1.0),  # two days without a record are like the 1st
        Day(date(2024, 3, 5), 0.0, 0.0, 1.0),  # everything was taken out
    ]
    # 3 x 100 x 0.1 + 300 x 0.5 = 180 of 600
    assert mean_exposure(days) == pytest.approx(0.3, abs=1e-12)
    assert math.isnan(mean_exposure(days[2:]))
    assert math.isnan(mean_exposure([]))


@pytest.mark.parametrize(
    ("indexes", "fall"), [([], 0.0), ([1.0, 1.2, 0.9, 1.5, 1.2], 0.25), ([1.0, 1.1], 0.0), ([1.0, 1e-9], 1 - 1e-9)]
)
def test_worst_fall(indexes: list[float], fall: float) -> None:
    assert worst_fall(indexes) == pytest.approx(fall, abs=1e-12)


_PRICES = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=12)
_MONEY = st.lists(st.tuples(st.integers(0, 11), st.floats(-1e4, 1e4)), max_size=6)


@given(prices=_PRICES, money=_MONEY)
def test_without_coins_or_yield_everything_is_worth_what_was_put_in(
    prices: list[float], money: list[tuple[int, float]]
) -> None:
    moves = [Moved(at(day), usd) for day, usd in money]
    put_in = sum(usd for _, usd in money)
    assert share_held(moves, btc(*prices), 0.0).worth == pytest.approx(put_in, abs=1e-6)
    assert in_cash(moves, at(12), 0.0) == pytest.approx(put_in, abs=1e-6)


@given(prices=_PRICES, money=_MONEY)
def test_all_of_it_in_one_coin_is_the_share_of_one(prices: list[float], money: list[tuple[int, float]]) -> None:
    moves = [Moved(at(day), usd) for day, usd in money]
    share, every = share_held(moves, btc(*prices), 1.0), all_held(moves, btc(*prices))
    scale = sum(abs(usd) for _, usd in money) * max(prices) / min(prices) + 1.0
    assert every.worth == pytest.approx(share.worth, abs=1e-9 * scale)
