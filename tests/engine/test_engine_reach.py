"""What the snapshot says an account can reach, against what the engine does and what hand computation gives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from engine_rig import BTC, QUANTITY, Rig, make_rig, rising_days

from bot.decide import exits
from bot.decide.kelly import edge_of_results
from bot.decide.reach import Rung
from bot.domain.modes import ExitRule, Strategy
from bot.domain.snapshot import ReachView
from bot.domain.tier import ScalingTier
from bot.engine.reach import plan_of, reach_views, rungs_of
from bot.scaling.ladder import SCALING_TIERS

NO_RESULTS = edge_of_results((), (), 0.12)


def views(rig: Rig) -> dict[tuple[str, str], ReachView]:
    snapshot = rig.engine.snapshot(rig.now, rig.now)
    return {(view["account"], view["symbol"]): view for view in snapshot["reach"]}


def view(rig: Rig, account: str = "coinbase", symbol: str = BTC) -> ReachView:
    return views(rig)[account, symbol]


def ready(folder: Path, **changes: Any) -> Rig:
    rig = make_rig(folder, **changes)
    rig.first_cycle()
    return rig


def why(found: ReachView) -> tuple[str, float | None, float | None, str]:
    return found["refusal"], found["refusal_limit"], found["refusal_actual"], found["refusal_unit"]


# -- an order


def test_reach_is_the_order_that_the_engine_sends(tmp_path: Path) -> None:
    rig = ready(tmp_path)
    (entry,) = rig.entries()
    assert entry.quantity == QUANTITY
    found = view(rig)
    assert why(found) == ("", None, None, "")
    assert found["order_usd"] == pytest.approx(float(QUANTITY) * 99.95)
    assert found["from_equity_usd"] == 100.0


def test_reach_tells_stop_costs_and_effective_risk(tmp_path: Path) -> None:
    rig = ready(tmp_path)
    stop = rig.details(BTC)["stop_distance"] * 100 / 99.95  # decided at 100, the account would buy at its bid
    loss = stop + 0.006 + 0.012 * (1 - stop) + 0.001
    found = view(rig)
    assert found["stop_pct"] == pytest.approx(100 * stop)
    assert found["risk_usd"] == pytest.approx(18 * loss)
    assert found["risk_pct"] == pytest.approx(18 * loss)  # of $100
    assert found["round_trip_pct"] == pytest.approx(1.8218623)  # 1.006 / .988 - 1
    assert found["round_trip_usd"] == pytest.approx(18 * 0.018218623)


def test_reach_asks_as_if_nothing_were_held(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    found = view(rig)
    account = rig.engine.snapshot(rig.now, rig.now)
    drop = account["drawdown_pct"] / 100  # the entry's fee and half of the spread
    assert 0.001 < drop < 0.0015
    scale = (0.12 - drop) / (0.12 * (1 - drop))
    assert found["order_usd"] == pytest.approx(0.18 * account["equity_usd"] * scale, abs=1e-3)
    assert found["refusal"] == ""


def test_reach_of_breakouts_has_the_nearer_stop_and_no_target_share(tmp_path: Path) -> None:
    allocation = view(ready(tmp_path / "a"))
    breakout = view(ready(tmp_path / "b", strategy=Strategy.BREAKOUT))
    assert allocation["stop_pct"] is not None
    assert breakout["stop_pct"] == pytest.approx(allocation["stop_pct"] / 2)  # two daily ATR instead of four
    # 4.7 %: three times 1.82 % of costs are more
    assert breakout["refusal"] == "costs_too_high"
    assert (breakout["order_usd"], breakout["from_equity_usd"]) == (0.0, None)


def test_reach_of_breakouts_on_a_cheap_venue_asks_for_the_reward_of_their_targets(tmp_path: Path) -> None:
    rig = ready(tmp_path, cash={"kraken": "100"}, strategy=Strategy.BREAKOUT, min_reward=5.0)
    refusal, limit, actual, unit = why(view(rig, "kraken"))
    assert (refusal, limit, unit) == ("risk_reward", 5.0, "ratio")
    stop = rig.details(BTC)["stop_distance"] * 100 / 99.9  # Kraken's prices have one decimal
    gain = 3.284 * stop - 0.0025 - 0.004 * (1 + 3.284 * stop) - 0.001
    assert actual == pytest.approx(gain / (stop + 0.0025 + 0.004 * (1 - stop) + 0.001))
    trailing = ready(tmp_path / "t", cash={"kraken": "100"}, strategy=Strategy.BREAKOUT, exit_rule=ExitRule.TRAIL)
    assert view(trailing, "kraken")["refusal"] == ""


# -- none


def test_reach_of_a_dormant_venue_says_what_it_would_need(tmp_path: Path) -> None:
    rig = ready(tmp_path, cash={"coinbase": "100", "kraken": "20"})
    found = view(rig, "kraken")
    assert why(found) == ("venue_dormant", 50.0, 20.0, "usd")
    assert found["order_usd"] == 0.0
    assert found["from_equity_usd"] == 50.0
    assert found["round_trip_usd"] == pytest.approx(5 * (1.0025 / 0.996 - 1))  # of the smallest trade


def test_reach_below_the_minimum_for_trading_begins_there(tmp_path: Path) -> None:
    found = view(ready(tmp_path, cash={"coinbase": "12"}))
    assert why(found) == ("below_activation", 15.0, 12.0, "usd")
    assert found["from_equity_usd"] is not None
    assert found["from_equity_usd"] >= 15.0


def test_reach_too_small_an_account_needs_the_equity_that_its_ceiling_demands(tmp_path: Path) -> None:
    rig = ready(tmp_path, cash={"coinbase": "16"}, risk_ceiling_pct=2.0)
    found = view(rig)
    stop = rig.details(BTC)["stop_distance"] * 100 / 99.95
    loss = stop + 0.006 + 0.012 * (1 - stop) + 0.001
    refusal, limit, actual, _ = why(found)
    assert refusal == "risk_per_trade"
    assert limit == pytest.approx(5.0, abs=1e-5)
    assert actual == pytest.approx(0.02 * 16 / loss)
    assert found["risk_pct"] == pytest.approx(100 * 5 * loss / 16)
    assert found["from_equity_usd"] == pytest.approx(5 * loss / 0.02, abs=0.011)


def test_reach_of_an_unknown_coin_or_venue_says_why(tmp_path: Path) -> None:
    short = make_rig(tmp_path / "short", days={BTC: rising_days(5)})
    short.first_cycle()
    assert why(view(short)) == ("history_too_short", 91.0, 5.0, "days")
    silent = make_rig(tmp_path / "silent")
    silent.venue.silence()
    silent.first_cycle()
    assert view(silent)["refusal"] == "venue_unknown"
    unlisted = make_rig(tmp_path / "unlisted", coins=("BTC", "ETH"))
    unlisted.venue.hidden_tickers = {BTC}
    unlisted.first_cycle()
    assert view(unlisted)["refusal"] == "no_market"
    assert view(unlisted, symbol="ETH/USD")["refusal"] == ""
    for rig in (short, silent, unlisted):
        assert view(rig)["stop_pct"] is None
        assert view(rig)["from_equity_usd"] is None


def test_reach_after_bad_results_is_braked_or_lacks_reward(tmp_path: Path) -> None:
    braked = ready(tmp_path / "braked")
    braked.close_trades([-1.0] * 20, at=braked.now)
    assert view(braked)["refusal"] == "edge_brake"
    meagre = ready(tmp_path / "meagre")
    meagre.close_trades([1.0, 1.0, 1.0, -1.0] * 8, at=meagre.now)  # a gain on the whole, by small wins
    assert why(view(meagre)) == ("risk_reward", 1.8, 1.0, "ratio")


# -- the account as a whole


def test_snapshot_tells_what_all_stops_would_cost_and_may(tmp_path: Path) -> None:
    rig = make_rig(tmp_path).entered()
    found = rig.cycle(BTC=105.0).snapshot
    assert found is not None
    worth = float(QUANTITY) * 104.94
    distance = 1 - 90.54 / 104.94  # the stop rests at 90.54
    assert found["heat_usd"] == pytest.approx(worth * (distance + 0.012 * (1 - distance) + 0.02))
    assert found["heat_limit_usd"] == pytest.approx(0.06 * found["equity_usd"])
    assert found["strategy"] == "allocation"


def test_reach_without_a_tier_takes_the_one_that_the_equity_reaches(tmp_path: Path) -> None:
    rig = ready(tmp_path)

    def found(risk_pct: float, max_positions: int) -> list[ReachView]:
        return reach_views(
            config=rig.config,
            accounts=rig.engine.accounts,
            decider=rig.engine.decider,
            equity=100.0,
            drawdown=0.0,
            day_loss=0.0,
            risk_pct=risk_pct,
            max_positions=max_positions,
            activation=15.0,
            now=rig.now,
        )

    assert found(0.0, 0) == found(3.0, 2)
    assert found(0.1, 2) != found(3.0, 2)


# -- ladder and plan


def test_rungs_carry_the_lower_of_tier_and_user() -> None:
    free = rungs_of(SCALING_TIERS, risk_ceiling_pct=None, positions_ceiling=None, possible=6)
    assert free == [Rung(15.0, 0.03, 2), Rung(250.0, 0.04, 3), Rung(500.0, 0.04, 4), Rung(1000.0, 0.05, 6)]
    tight = rungs_of(SCALING_TIERS, risk_ceiling_pct=3.5, positions_ceiling=5, possible=3)
    assert tight == [Rung(15.0, 0.03, 2), Rung(250.0, 0.035, 3), Rung(500.0, 0.035, 3), Rung(1000.0, 0.035, 3)]


def test_rungs_of_a_ladder_in_any_order_rise() -> None:
    low = ScalingTier("LOW", 5.0, None, 1, 2.0, copy_trading=False, leverage_enabled=False)
    rungs = rungs_of([*SCALING_TIERS, low], risk_ceiling_pct=None, positions_ceiling=None, possible=6)
    assert [rung.from_equity for rung in rungs] == [5.0, 15.0, 250.0, 500.0, 1000.0]


def a_plan(strategy: Strategy, rule: ExitRule) -> Any:
    return plan_of(strategy, rule, volatility=0.5, coins=3, min_reward=1.8, trades=0, reward=math.nan)


def test_plan_of_allocation_asks_for_its_share_of_the_volatility() -> None:
    plan = a_plan(Strategy.ALLOCATION, ExitRule.LADDER)
    assert plan.share == pytest.approx(0.25 / 0.5 / 3)
    assert (plan.rule, plan.min_reward, plan.trades) == (-1, 1.8, 0)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (ExitRule.LADDER, exits.LADDER),
        (ExitRule.RUNNER, exits.RUNNER),
        (ExitRule.TRAIL, -1),
        (ExitRule.TRAIL_TIGHT, -1),
    ],
)
def test_plan_of_breakout_leaves_the_size_to_the_legs(rule: ExitRule, code: int) -> None:
    plan = a_plan(Strategy.BREAKOUT, rule)
    assert (plan.share, plan.rule) == (math.inf, code)
