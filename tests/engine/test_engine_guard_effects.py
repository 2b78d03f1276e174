"""What the guards of an order, a venue and a coin do in a running engine: entries end, exits and stops do not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from engine_rig import BTC, ETH, SOL, Rig, RigVenue, assert_protected, look_again, make_rig

from bot.domain.modes import EngineMode
from bot.domain.orders import Order, OrderState, Purpose, Side
from bot.domain.refusal import GuardReading
from bot.ports import Outcome, Rejected

D = Decimal


def reading(rig: Rig, name: str) -> GuardReading:
    (found,) = [r for r in rig.engine.guards.readings if r.name == name]
    return found


def guard_events(rig: Rig, name: str) -> list[bool]:
    return [active for event, active in rig.guard_events() if event == name]


def with_btc(folder: Path, **cash: str) -> Rig:
    """BTC is held; the bar of ETH comes late, so that its entry is decided in a later cycle."""
    rig = make_rig(folder, coins=("BTC", "ETH"), cash=cash or {"coinbase": "1000"})
    for venue in rig.venues.values():
        venue.hidden_candles.add(ETH)
    rig.entered(BTC=99.8)
    assert [symbol for _, symbol in rig.engine.book.positions] == [BTC]
    return rig


def decide_eth(rig: Rig) -> list[tuple[str, str]]:
    """Let the bar of ETH arrive; returns the refusals."""
    for venue in rig.venues.values():
        venue.hidden_candles.clear()
    rig.cycle(after_s=600.0)
    return rig.refusals()


def assert_sells(rig: Rig) -> None:
    """A wanted exit is carried out whatever the guards say."""
    assert_protected(rig)
    rig.control.put("flatten")
    rig.cycle()
    rig.cycle()
    assert rig.engine.book.positions == {}


def test_entry_without_any_active_guard_is_made(tmp_path: Path) -> None:
    """The counterpart of every refusal below."""
    rig = with_btc(tmp_path)
    assert decide_eth(rig) == []
    assert [order.symbol for order in rig.entries()] == [ETH]


# -- heat and fees


def test_heat_refuses_entries_and_sells_nothing(tmp_path: Path) -> None:
    rig = with_btc(tmp_path)
    rig.cycle()
    # 18 % of the equity 9.4 % above the stop; fee and gap of 2 % included about 2.2 % of it
    assert 2.0 < reading(rig, "heat").used < 2.4
    rig.restart(daily_loss_frac=0.021)  # 2.1 % less what fees and spread have cost today: about 1.9 %
    rig.cycle()
    assert reading(rig, "heat").active
    assert guard_events(rig, "heat") == [True]
    assert rig.engine.guards.mode is EngineMode.ACTIVE
    assert decide_eth(rig) == [("heat", ETH)]
    rig.restart()
    rig.cycle()
    assert reading(rig, "heat").active
    assert_sells(rig)
    rig.cycle()
    assert reading(rig, "heat").used == 0.0


def test_fee_budget_refuses_entries_and_sells_nothing(tmp_path: Path) -> None:
    rig = with_btc(tmp_path)
    rig.cycle()
    # paid 180 * 0.6 % = 1.08, due 180 * 1.2 % = 2.16
    assert reading(rig, "fee_budget").used == pytest.approx(3.24, abs=0.03)
    assert reading(rig, "fee_budget").limit == pytest.approx(9.99, abs=0.01)
    rig.restart(fee_budget_frac=0.003)
    rig.cycle()
    assert reading(rig, "fee_budget").active
    assert decide_eth(rig) == [("fee_budget", ETH)]
    rig.restart()
    rig.cycle()
    assert reading(rig, "fee_budget").active
    assert guard_events(rig, "fee_budget") == [True]
    assert_sells(rig)


# -- venues


@pytest.mark.parametrize(("cash", "dormant"), [("49.99", True), ("50", False), ("50.01", False)])
def test_dormant_venue_is_counted_and_takes_no_entry(tmp_path: Path, cash: str, dormant: bool) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": cash})
    rig.first_cycle()
    found = reading(rig, "venue_minimum")
    assert (found.used, found.limit, found.about) == (float(cash), 50.0, "kraken")
    assert found.active is dormant
    assert rig.engine.guards.mode is EngineMode.ACTIVE
    assert [order.account for order in rig.entries()] == ["coinbase" if dormant else "kraken"]
    rig.restart()
    assert rig.cycle().equity == pytest.approx(500 + float(cash))
    assert reading(rig, "venue_minimum").active is dormant


def test_venue_that_becomes_dormant_still_sells(tmp_path: Path) -> None:
    rig = with_btc(tmp_path, kraken="500")
    rig.venues["kraken"].core.withdraw("USD", D(400))
    rig.restart(venue_minimum_usd={"kraken": 400.0})
    rig.cycle()
    rig.cycle()
    assert reading(rig, "venue_minimum").active
    assert decide_eth(rig)[-1][0] in ("venue_dormant", "transfer_pending")
    assert_sells(rig)


def test_silent_venue_is_counted_and_named(tmp_path: Path) -> None:
    rig = with_btc(tmp_path, coinbase="500", kraken="500")
    rig.venues["kraken"].silence()
    rig.cycle()
    found = reading(rig, "unknown_venue")
    assert (found.used, found.limit, found.active, found.about) == (1.0, 1.0, True, "kraken: balances is down")
    rig.restart()
    rig.cycle()
    assert reading(rig, "unknown_venue").active
    assert rig.engine.guards.mode is EngineMode.HALTED
    rig.venues["kraken"].speak()
    rig.cycle()
    assert not reading(rig, "unknown_venue").active
    assert guard_events(rig, "unknown_venue") == [True, False]
    assert_sells(rig)


# -- prices


@pytest.mark.parametrize(("limit_frac", "active"), [(0.00101, False), (0.00099, True)])
def test_spread_refuses_entries_and_not_exits(tmp_path: Path, limit_frac: float, active: bool) -> None:
    rig = with_btc(tmp_path)
    rig.restart(max_spread_frac=limit_frac)  # bid 99.95 and ask 100.05 are 0.1 % apart
    rig.cycle(BTC=100.0)
    found = reading(rig, "spread")
    assert found.used == pytest.approx(0.1, abs=1e-4)
    assert found.active is active
    assert decide_eth(rig) == ([("spread", ETH)] if active else [])
    rig.cycle()
    assert_sells(rig)


def shift_prices(venue: RigVenue, factor: Decimal) -> None:
    """Let a venue tell prices that differ from the common ones by this factor."""
    told = venue.tickers

    def shifted() -> dict[str, object]:
        return {s: replace(t, bid=t.bid * factor, ask=t.ask * factor, last=t.last * factor) for s, t in told().items()}

    venue.tickers = shifted  # type: ignore[assignment, method-assign]


@pytest.mark.parametrize(("factor", "active"), [("0.981", False), ("0.979", True)])
def test_venues_that_disagree_on_a_price_take_no_entry_in_the_coin(tmp_path: Path, factor: str, active: bool) -> None:
    rig = with_btc(tmp_path, coinbase="500", kraken="500")
    shift_prices(rig.venues["kraken"], D(factor))
    rig.cycle()
    found = reading(rig, "price_sanity")
    # 1 / 0.981 - 1 = 1.94 %, 1 / 0.979 - 1 = 2.15 %; kraken's tick is 0.1
    assert found.used == pytest.approx((1 / float(factor) - 1) * 100, abs=0.04)
    assert found.active is active
    assert found.about.endswith("on coinbase and kraken")
    assert decide_eth(rig) == ([("price_disagrees", ETH)] if active else [])
    rig.restart()
    rig.cycle()
    assert reading(rig, "price_sanity").active is active
    assert_sells(rig)


def test_silent_venues_old_price_contradicts_nothing(tmp_path: Path) -> None:
    rig = with_btc(tmp_path, coinbase="500", kraken="500")
    rig.venues["kraken"].silence()
    rig.cycle(BTC=103.0, ETH=103.0)
    assert not reading(rig, "price_sanity").active
    assert decide_eth(rig) == []


@pytest.mark.parametrize(("age_ms", "active"), [(900_000, False), (901_000, True)])
def test_old_price_refuses_entries_and_not_exits(tmp_path: Path, age_ms: int, active: bool) -> None:
    rig = with_btc(tmp_path)
    rig.board.price_age_ms = age_ms
    rig.cycle(after_s=2000.0)  # past the prices that are known
    found = reading(rig, "stale_data")
    assert (found.used, found.limit) == (pytest.approx(age_ms / 3_600_000), 0.25)
    assert found.active is active
    assert decide_eth(rig) == ([("stale_data", ETH)] if active else [])
    assert_sells(rig)


# -- risk:reward and confidence


def test_gates_without_evidence_abstain_and_let_pass(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    result = rig.first_cycle()
    assert len(rig.entries()) == 1
    assert result.snapshot is not None
    shown = {guard["name"]: guard for guard in result.snapshot["guards"]}
    for name, limit in (("risk_reward", 1.8), ("confidence", 0.7)):
        assert (shown[name]["used"], shown[name]["limit"], shown[name]["active"]) == (None, limit, False)
        assert shown[name]["about"] != ""


# -- error shut-off


def fail(rig: Rig, cycles: int) -> None:
    rig.venue.silence()
    for _ in range(cycles):
        rig.cycle()
    rig.venue.speak()


def test_five_silent_cycles_end_entries_until_five_good_ones(tmp_path: Path) -> None:
    rig = with_btc(tmp_path)
    fail(rig, 4)
    assert rig.engine.state.failed_cycles == 4
    assert not rig.engine.state.errors_latched
    rig.restart()  # the count goes on
    fail(rig, 1)
    assert rig.engine.state.errors_latched

    rig.restart()
    assert decide_eth(rig) == [("error_shutoff", ETH)]
    assert rig.engine.guards.mode is EngineMode.REDUCE_ONLY
    assert rig.refusal("error_shutoff") == (5.0, 0.0, "count", "")
    assert_protected(rig)
    for _ in range(3):
        rig.cycle()
    rig.restart()
    assert rig.cycle().mode is EngineMode.REDUCE_ONLY  # it is the fifth good one
    assert rig.cycle().mode is EngineMode.ACTIVE
    assert guard_events(rig, "errors") == [True, False]
    rig.next_decision(BTC=100.0, ETH=102.0)
    assert [order.symbol for order in rig.entries()] == [ETH]


def test_four_silent_cycles_end_nothing(tmp_path: Path) -> None:
    rig = with_btc(tmp_path)
    fail(rig, 4)
    assert decide_eth(rig) == []
    assert len(rig.entries()) == 1
    assert rig.engine.state.failed_cycles == 0


def test_shut_off_engine_cancels_resting_entries_and_sells(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH"), cash={"coinbase": "1000"}).entered()
    assert len(rig.entries()) == 1
    fail(rig, 5)
    rig.cycle()
    assert rig.entries() == []
    assert ("error_shutoff", ETH) in rig.refusals()
    assert_sells(rig)


def test_resume_ends_the_shut_off(tmp_path: Path) -> None:
    rig = with_btc(tmp_path)
    fail(rig, 5)
    assert rig.cycle().mode is EngineMode.REDUCE_ONLY
    rig.control.put("resume", reset_drawdown=False)
    assert rig.cycle().mode is EngineMode.ACTIVE
    assert rig.engine.state.failed_cycles == 0


def test_failed_cycles_end_nothing_where_the_switch_is_off(tmp_path: Path) -> None:
    rig = with_btc(tmp_path)
    rig.restart(shuts_off_on_errors=False)
    fail(rig, 6)
    assert rig.engine.state.failed_cycles == 6
    assert decide_eth(rig) == []
    assert len(rig.entries()) == 1
    assert rig.engine.guards.mode is EngineMode.ACTIVE


def test_silence_of_an_empty_account_is_no_failure(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "0"})
    rig.first_cycle()
    rig.venues["kraken"].silence()
    rig.cycle()
    assert rig.engine.state.failed_cycles == 0
    assert reading(rig, "unknown_venue").active


def test_account_that_has_never_answered_fails_the_cycle(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, cash={"coinbase": "500", "kraken": "0"})
    rig.venues["kraken"].silence()
    rig.first_cycle()
    assert rig.engine.state.failed_cycles == 1


def reject(venue: RigVenue, side: Side) -> None:
    """Let a venue reject every order of one side."""
    sent = venue.submit

    def submit(order: Order) -> Outcome:
        return Rejected(reason="not today") if order.side is side else sent(order)

    venue.submit = submit  # type: ignore[method-assign]


def test_rejected_stop_fails_the_cycle(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    reject(rig.venue, Side.SELL)
    rig.first_cycle()
    assert rig.engine.state.failed_cycles == 0
    for _ in range(5):
        rig.cycle(BTC=99.9)
    # In the fourth cycle it is not asked for: after the third rejection the pause is two minutes.
    assert [order.state for order in rig.orders(Purpose.STOP)] == [OrderState.REJECTED] * 4
    assert rig.cycle().mode is EngineMode.REDUCE_ONLY


def test_rejected_entry_does_not_fail_the_cycle(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    reject(rig.venue, Side.BUY)
    rig.first_cycle()
    assert rig.refusals() == [("order_rejected", BTC)]
    assert rig.engine.state.failed_cycles == 0


def test_sale_of_unknown_outcome_fails_the_cycle(tmp_path: Path) -> None:
    rig = make_rig(tmp_path)
    rig.first_cycle()
    rig.venue.down = {"submit"}
    rig.cycle(BTC=99.9)  # bought; nobody knows whether the stop has arrived
    assert [order.state for order in rig.orders(Purpose.STOP)] == [OrderState.UNKNOWN]
    assert rig.engine.state.failed_cycles == 1
    rig.venue.speak()
    look_again(rig)
    assert rig.engine.state.failed_cycles == 0
    assert_protected(rig)


# -- master


def test_follower_of_a_master_enters_nothing_and_still_sells(tmp_path: Path) -> None:
    rig = with_btc(tmp_path)
    rig.restart(follows_master=True)
    assert decide_eth(rig) == [("follows_master", ETH)]
    assert rig.engine.guards.mode is EngineMode.REDUCE_ONLY
    rig.venue.core.withdraw("USD", D(500))
    rig.cycle()
    rig.cycle()
    rig.next_decision(BTC=100.0, ETH=100.0)  # half of the equity is gone: BTC is above its target
    assert [order.state for order in rig.orders(Purpose.EXIT)] == [OrderState.FILLED]
    assert_sells(rig)


def test_three_coins_at_full_score_stay_within_heat_and_fees(tmp_path: Path) -> None:
    rig = make_rig(tmp_path, coins=("BTC", "ETH", "SOL"), cash={"coinbase": "1000"})
    rig.entered(BTC=99.9, ETH=99.9, SOL=99.9)
    rig.cycle(BTC=100.0, ETH=100.0, SOL=100.0)
    assert sorted(symbol for _, symbol in rig.engine.book.positions) == [BTC, ETH, SOL]
    for name in ("heat", "fee_budget", "cash_buffer"):
        assert not reading(rig, name).active, name
