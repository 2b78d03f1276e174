"""The two strategies inside the engine: what they want, what refuses it, and a change from one to the other.

With ``even_days(3)`` and a price of 100 the stop of a breakout is 2 * 3 / 100 = 6 % away. Net risk:reward there,
by the target's multiple m of R: Kraken (m * .06 * .996 - .0075) / .06726, Coinbase (m * .06 * .988 - .019) / .07828.
"""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_rig import (
    BTC,
    ETH,
    SOL,
    START,
    TODAY_MS,
    Rig,
    assert_books_equal_venues,
    assert_protected,
    even_days,
    make_rig,
    rising_days,
)

from bot.domain.market import MS_PER_DAY, Candle
from bot.domain.modes import ExitRule, Strategy
from bot.domain.orders import Purpose

D = Decimal
KRAKEN_250 = {"kraken": "250"}


def breakout_rig(folder: Path, coin: str = "BTC", days: list[Candle] | None = None, **changes: Any) -> Rig:
    """One coin, $250 on Kraken by default; the equity leg is the position cap of 18 %: $45."""
    settings = {"cash": KRAKEN_250, "strategy": Strategy.BREAKOUT} | changes
    return make_rig(folder, coins=(coin,), days={f"{coin}/USD": days or even_days(3.0)}, **settings)


def followed_by(closes: list[float]) -> list[Candle]:
    """Rising days to a close of 100, then quiet ones with these closes; the last of them ends today."""
    days = even_days(3.0)
    for close in closes:
        top, bottom = max(close, days[-1].close), min(close, days[-1].close)
        days.append(Candle(days[-1].open_ms + MS_PER_DAY, days[-1].close, top, bottom - 3.0, close, 1.0))
    shift = len(closes) * MS_PER_DAY
    days = [day._replace(open_ms=day.open_ms - shift) for day in days]
    assert days[-1].open_ms == TODAY_MS - MS_PER_DAY
    return days


def stop_price(rig: Rig) -> Decimal | None:
    (stop,) = rig.stops()
    return stop.stop_price


# -- breakout: what it buys


def test_breakout_buys_what_the_sizer_allows_on_a_new_high(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.first_cycle()
    (entry,) = rig.entries()
    assert (entry.account, entry.price) == ("kraken", D("99.9"))  # the bid in ticks of ten cents
    assert float(entry.quantity) * 99.9 == pytest.approx(45.0, abs=1e-5)
    assert entry.reason == "breakout: score 1.00, a new high of 20 days"
    found = rig.details(BTC)
    assert (found["strategy"], found["target_usd"], found["gap_usd"]) == ("breakout", None, None)
    # .33 * 1.8 + .33 * 3 + .34 * 5 = 3.284 R: (.196251840 - .0075) / .06726
    assert (found["parts"], found["reward"]) == (3.0, pytest.approx(2.80630, abs=1e-5))


def test_breakout_puts_its_stop_two_daily_ranges_below(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.first_cycle()
    rig.cycle(BTC=99.8)
    assert_protected(rig)
    assert stop_price(rig) == D("93.9")  # 99.9 * .94 = 93.906
    risk = rig.engine.book.positions["kraken", BTC].initial_risk_usd
    assert risk is not None
    assert float(risk) == pytest.approx(45.0 * 0.06, abs=1e-5)


def test_breakout_that_can_only_be_sold_whole_has_one_target(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, "SOL", cash={"kraken": "60"})
    rig.first_cycle()
    # $10.80 are .108 SOL, a third of it .0356: less than Kraken's .06. One target at 3 R: (.17928 - .0075) / .06726
    found = rig.details(SOL)
    assert (found["parts"], found["reward"]) == (1.0, pytest.approx(2.55397, abs=1e-5))
    assert len(rig.entries()) == 1


# -- breakout: what refuses it


def test_breakout_of_a_weak_trend_is_refused(tmp_path: Path) -> None:
    # Six lookbacks are ready. A close at 50 is below the lows of 30 days (52) and above those of 45 days (38): only
    # that of 90 days stays long. After 21 days at 50 a close at 60 starts those of 5, 10 and 20 days: four of six.
    rig = breakout_rig(tmp_path, days=followed_by([50.0] * 21 + [60.0]))
    rig.first_cycle()
    assert rig.engine.decider.histories[BTC].since_breakout() == 0.0  # the breakout alone would have been one
    assert rig.refusal("signal_too_weak") == (0.75, pytest.approx(4 / 6), "score", "")
    assert rig.orders() == []


@pytest.mark.parametrize(("bars", "enters"), [(0, True), (1, True), (2, True), (3, False)])
def test_breakout_is_followed_for_three_bars(tmp_path: Path, bars: int, enters: bool) -> None:
    rig = breakout_rig(tmp_path, days=followed_by([99.0] * bars))
    rig.first_cycle()
    assert bool(rig.entries()) is enters
    assert rig.engine.decider.histories[BTC].score() == 1.0
    assert rig.refusals() == ([] if enters else [("no_breakout", BTC)])
    if not enters:
        assert rig.refusal("no_breakout") == (3.0, 0.0, "count", "")


def test_breakout_from_which_the_price_has_run_away_is_refused(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.cycle(after_s=3600.0, BTC=104.0)
    # The stop is 6 / 104 = 5.769 % away; half of it is less than the 4 % that the price has moved.
    assert rig.refusal("price_moved") == (pytest.approx(2.8846, abs=1e-4), pytest.approx(4.0), "pct", "")


def test_breakout_with_too_near_a_stop_for_the_fees_is_refused(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, days=rising_days(), cash={"coinbase": "250"})
    rig.first_cycle()
    # 2 ATR = 4.70315 %; a round trip is 1.006 / .988 - 1 = 1.82186 %, three of them are more
    limit, actual, unit, account = rig.refusal("costs_too_high")
    assert (limit, actual) == (pytest.approx(4.70315 / 3, abs=1e-4), pytest.approx(1.82186, abs=1e-4))
    assert (unit, account) == ("pct", "coinbase")


def test_runner_whose_targets_are_too_near_for_coinbase_is_refused(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, cash={"coinbase": "250"}, exit_rule=ExitRule.RUNNER)
    rig.first_cycle()
    # .33 * 1.8 + .67 * 3 = 2.604 R: (2.604 * .05928 - .019) / .07828 = 1.72924
    assert rig.refusal("risk_reward") == (1.8, pytest.approx(1.72924, abs=1e-5), "ratio", "coinbase")
    assert rig.orders() == []


def test_runner_on_kraken_has_reward_enough(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, exit_rule=ExitRule.RUNNER)
    rig.first_cycle()
    assert rig.details(BTC)["reward"] == pytest.approx(2.20213, abs=1e-5)  # (2.604 * .05976 - .0075) / .06726
    assert len(rig.entries()) == 1


def test_ladder_must_reach_the_users_own_reward(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, cash={"coinbase": "250"}, min_reward=2.5)
    rig.first_cycle()
    # (3.284 * .05928 - .019) / .07828 = 2.24419
    assert rig.refusal("risk_reward") == (2.5, pytest.approx(2.24419, abs=1e-5), "ratio", "coinbase")


def test_reward_that_one_account_does_not_offer_is_taken_at_the_other(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path, cash={"coinbase": "250", "kraken": "250"}, exit_rule=ExitRule.RUNNER)
    rig.first_cycle()
    assert [order.account for order in rig.entries()] == ["kraken"]
    assert rig.refusals() == []


def test_guard_shows_the_lowest_reward_of_the_last_entries(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    decider = rig.engine.decider
    assert decider.reward(rig.now)[1] == "no entry has been sized yet"
    rig.first_cycle()
    assert decider.reward(rig.now) == (pytest.approx(2.80630, abs=1e-5), BTC)


# -- breakout: what is held


def held_breakout(folder: Path, **changes: Any) -> Rig:
    rig = breakout_rig(folder, **changes)
    rig.first_cycle()
    rig.cycle(BTC=99.8)
    assert_protected(rig)
    return rig


@pytest.mark.parametrize("closes", [[101.0, 102.0, 103.0], [98.0, 96.0, 95.0]])
def test_breakout_holds_until_its_exits_end_it(tmp_path: Path, closes: list[float]) -> None:
    rig = held_breakout(tmp_path)
    before = rig.engine.book.positions["kraken", BTC].quantity
    for close in closes:
        rig.next_decision(BTC=close)
    assert [action for _, action in rig.decisions()] == ["enter", "hold", "hold", "hold"]
    assert rig.engine.book.positions["kraken", BTC].quantity == before
    assert (rig.orders(Purpose.EXIT), stop_price(rig)) == ([], D("93.9"))
    assert_protected(rig)


def test_breakout_is_not_added_to(tmp_path: Path) -> None:
    rig = held_breakout(tmp_path)
    rig.venue.core.deposit("USD", D(2_000))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=102.0)  # a new high, and four times the equity
    assert rig.decisions()[-1] == (BTC, "hold")
    assert len(rig.orders(Purpose.ENTRY)) == 1


def test_breakout_whose_stop_was_reached_may_be_bought_again_at_a_new_high(tmp_path: Path) -> None:
    rig = held_breakout(tmp_path)
    rig.cycle(BTC=93.0)
    assert rig.engine.book.positions == {}
    rig.next_decision(BTC=103.0)
    assert rig.decisions()[-1] == (BTC, "enter")
    assert_books_equal_venues(rig)


def test_entries_of_breakouts_in_one_decision_share_the_positions_of_the_tier(tmp_path: Path) -> None:
    coins = ("BTC", "ETH", "SOL")
    days = {f"{coin}/USD": even_days(3.0) for coin in coins}
    rig = make_rig(tmp_path, coins=coins, days=days, cash={"kraken": "100"}, strategy=Strategy.BREAKOUT)
    rig.first_cycle()
    assert [order.symbol for order in rig.entries()] == [BTC, ETH]
    assert rig.refusals() == [("max_positions", SOL)]


def test_entry_is_sized_on_the_equity_after_the_sales_of_its_own_cycle(tmp_path: Path) -> None:
    days = {symbol: even_days(3.0) for symbol in (BTC, ETH)}
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), days=days, cash={"kraken": "1000"}, strategy=Strategy.BREAKOUT)
    rig.venue.hidden_candles.add(ETH)
    rig.first_cycle()
    rig.cycle(BTC=99.8)
    rig.venue.hidden_candles.clear()
    rig.board.close_day(BTC, 100.0)
    rig.board.close_day(ETH, 102.0)
    rig.clock.moment = START + timedelta(days=1)
    rig.cycle(after_s=0.0, BTC=131.0)  # BTC is sold at its last target, 99.9 + 5 * 6 = 129.9; ETH is bought
    assert rig.engine.book.positions == {}
    (entry,) = rig.entries()
    # The sale of about $236 has cost $.94, so that the cap is lower by $.17.
    assert float(entry.quantity * (entry.price or D(0))) <= 0.18 * float(rig.engine.book.cash_usd)


# -- measured risk:reward, for rules without price targets


HALF = [-1.0, 1.5] * 10
"""Twenty trades with a payoff of 1.5; the last one wins."""


@pytest.mark.parametrize(
    "changes", [{}, {"strategy": Strategy.BREAKOUT, "exit_rule": ExitRule.TRAIL, "cash": KRAKEN_250}]
)
def test_measured_reward_abstains_below_twenty_trades(tmp_path: Path, changes: dict[str, Any]) -> None:
    rig = make_rig(tmp_path, **changes)
    rig.close_trades(HALF[1:])
    rig.first_cycle()
    assert len(rig.entries()) == 1
    assert rig.details(BTC)["reward"] is None
    reward, about = rig.engine.decider.reward(rig.now)
    assert math.isnan(reward)
    assert about == "19 closed, 19.0 of 20 trades that it needs, as they fade; it lets pass"


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({}, "coinbase"),
        ({"strategy": Strategy.BREAKOUT, "exit_rule": ExitRule.TRAIL, "cash": KRAKEN_250}, "kraken"),
        ({"strategy": Strategy.BREAKOUT, "exit_rule": ExitRule.TRAIL_TIGHT, "cash": KRAKEN_250}, "kraken"),
    ],
)
def test_measured_reward_below_the_minimum_refuses(tmp_path: Path, changes: dict[str, Any], account: str) -> None:
    rig = make_rig(tmp_path, **changes)
    rig.close_trades(HALF)
    rig.first_cycle()
    assert rig.orders() == []
    assert rig.refusal("risk_reward") == (1.8, pytest.approx(1.5), "ratio", account)
    assert rig.engine.decider.reward(rig.now) == (pytest.approx(1.5), "measured on 20 closed trades")
    possible, reason = rig.engine.decider.largest_possible(rig.engine._standing(rig.now))
    assert not possible
    assert "risk_reward" in reason
    assert "deposit" not in reason


def test_measured_reward_of_twenty_trades_has_faded_on_the_next_day(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.close_trades(HALF)
    rig.first_cycle()
    rig.next_decision(BTC=102.0)  # 20 trades count 20 * .5 ^ (1 / 180) = 19.92
    assert [action for _, action in rig.decisions()] == ["refuse", "enter"]


def test_measured_reward_of_forty_trades_lasts_half_a_year(tmp_path: Path) -> None:
    for days, action in ((180, "refuse"), (181, "enter")):
        rig = make_rig(tmp_path / f"{days}")
        rig.close_trades(HALF * 2, at=START - timedelta(days=days))
        rig.first_cycle()
        assert rig.decisions() == [(BTC, action)]


def test_measured_reward_at_the_minimum_lets_pass(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.close_trades([-1.0, 1.9] * 10)
    rig.first_cycle()
    assert rig.details(BTC)["reward"] == pytest.approx(1.9)
    assert len(rig.entries()) == 1


def test_measured_reward_does_not_touch_a_rule_with_targets(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path)
    rig.close_trades(HALF)
    rig.first_cycle()
    assert rig.details(BTC)["reward"] == pytest.approx(2.80630, abs=1e-5)


def test_measured_reward_without_a_loss_is_no_obstacle(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.close_trades([0.5] * 20)
    rig.first_cycle()
    assert len(rig.entries()) == 1
    assert rig.details(BTC)["reward"] is None  # infinite, for which JSON has no word


# -- what could be bought at all


@pytest.mark.parametrize(("strategy", "possible"), [(Strategy.ALLOCATION, False), (Strategy.BREAKOUT, True)])
def test_what_is_possible_at_all_depends_on_the_stop_of_the_strategy(
    tmp_path: Path, strategy: Strategy, possible: bool
) -> None:
    # $16 on Coinbase, 3 % are $.48. Stop of 12 %: 5 * .13756 = .69. Stop of 6 %: 5 * .07828 = .39. That there is no
    # breakout today does not count.
    rig = breakout_rig(tmp_path, days=followed_by([99.0] * 3), cash={"coinbase": "16"}, strategy=strategy)
    rig.first_cycle()
    found, reason = rig.engine.decider.largest_possible(rig.engine._standing(rig.now))
    assert found is possible
    assert ("risk_per_trade" in reason) is not possible


# -- from one strategy to the other


def test_change_to_breakout_keeps_stops_and_adds_nothing(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    assert stop_price(rig) == D("90.54")
    rig.restart(strategy=Strategy.BREAKOUT)
    rig.cycle()
    assert stop_price(rig) == D("90.54")
    rig.venue.core.deposit("USD", D(500))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=102.0)
    assert rig.decisions()[-1] == (BTC, "hold")
    assert stop_price(rig) == D("90.54")
    assert len(rig.orders(Purpose.ENTRY)) == 1
    assert_protected(rig)
    assert_books_equal_venues(rig)


def test_change_to_allocation_never_lowers_a_stop(tmp_path: Path) -> None:
    rig = held_breakout(tmp_path)
    rig.restart(strategy=Strategy.ALLOCATION)
    rig.cycle()
    rig.venue.core.deposit("USD", D(250))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=100.0)
    assert rig.decisions()[-1] == (BTC, "add")
    rig.cycle(BTC=99.8)
    rig.cycle()
    assert len(rig.orders(Purpose.ENTRY)) == 2
    assert stop_price(rig) == D("93.9")  # four daily ranges would be about 88
    assert_protected(rig)


def test_change_to_allocation_gives_a_breakout_up_when_its_trend_has_ended(tmp_path: Path) -> None:
    rig = held_breakout(tmp_path)
    rig.restart(strategy=Strategy.ALLOCATION, min_score=0.75)
    for close in (98.0, 96.0, 95.0, 94.5):
        rig.next_decision(BTC=close)
    # The score falls with the lookbacks that end: less is wanted than is held.
    assert rig.engine.decider.histories[BTC].score() < 0.75
    assert rig.orders(Purpose.EXIT) != []
    assert_books_equal_venues(rig)


def test_entry_that_rests_at_the_change_is_still_protected(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.restart(strategy=Strategy.BREAKOUT)
    rig.cycle(BTC=99.9)
    assert stop_price(rig) == D("90.54")  # of the strategy that wanted it
    assert_protected(rig)


def test_breakout_that_has_been_traded_is_not_bought_again(tmp_path: Path) -> None:
    rig = breakout_rig(tmp_path).entered(BTC=99.8)
    rig.next_decision(BTC=131.0)  # sold at its last target, 99.95 + 5 * 6, and the close is a new high
    assert rig.engine.book.positions == {}
    assert rig.decisions()[-1] == (BTC, "refuse")
    assert rig.refusals()[-1] == ("no_breakout", BTC)
    rig.next_decision(BTC=133.0)  # a newer one is
    assert rig.decisions()[-1] == (BTC, "enter")
