"""Every guard exercised: whole engines in storms, with checkers that ask neither the guards nor the sizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from storm_market import recorded
from storm_rig import CODES, THEMES, Episode, Report, storms

from bot.books import performance
from bot.decide import exits, guards, sizer
from bot.decide.guards import Limit
from bot.domain.orders import OrderState, OrderType, Purpose
from bot.engine import entries, gates, protect, sizing
from bot.engine.desk import OrderDesk
from bot.engine.engine import Engine
from bot.engine.entries import EntryKeeper
from bot.engine.gates import Gates
from bot.engine.protect import Protector
from bot.scaling import transitions

ROUNDS_SHORT = 2
FEW = 3
EACH = 1000
EPISODES_MAX = 4500
SEEDS_MAX = 40
"""By then a planted violation has to be found."""


def told(report: Report) -> str:
    lines = [f"{v.rule} at {v.at} in {v.where}: {v.text}" for v in report.violations[:10]]
    return "\n".join([*lines, report.table()])


def test_short_storms_activate_every_guard_and_break_none(tmp_path: Path) -> None:
    report = storms(tmp_path, range(len(THEMES) * ROUNDS_SHORT))
    assert report.violations == [], told(report)
    assert min(report.activations().values()) >= FEW, told(report)
    assert min(report.entries, report.stops, report.exits) > 100, told(report)


@pytest.mark.long
def test_long_storms_activate_every_guard_a_thousand_times_and_break_none(tmp_path: Path) -> None:
    report = Report()
    for seed in range(1000, 1000 + EPISODES_MAX):
        Episode(tmp_path, seed, real=seed % 2 == 1).run(report)
        if seed % 100 == 99:
            least = min(report.activations().items(), key=lambda item: item[1])
            print(f"{report.episodes} episodes, {len(report.violations)} violations, least: {least}", flush=True)
        if min(report.activations().values()) >= EACH:
            break
    print("\nwith recorded candles" if recorded() else "\nwithout recorded candles: none in ../shared/data")
    print(told(report), flush=True)
    assert report.violations == []
    assert {name: n for name, n in report.activations().items() if n < EACH} == {}


def test_storms_count_every_guard_but_those_that_abstain(tmp_path: Path) -> None:
    episode = Episode(tmp_path, 0)
    episode.rig.cycle()
    names = {reading.name for reading in episode.rig.engine.guards.readings}
    assert names == {*CODES, "confidence", "expectation"}
    abstain = [r for r in episode.rig.engine.guards.readings if r.name in ("confidence", "expectation")]
    assert all(math.isnan(reading.used) for reading in abstain)


# -- the checkers can fail: what is planted is found


def found(folder: Path, rule: str, theme: str, **changes: Any) -> bool:
    """Whether the storms of a theme find a violation of this rule."""
    for seed in range(SEEDS_MAX):
        report = Report()
        Episode(folder, seed, theme=theme, **changes).run(report)
        if any(violation.rule == rule for violation in report.violations):
            return True
    return False


D = Decimal
Patch = pytest.MonkeyPatch


def blind(name: str) -> Callable[[Patch], None]:
    """A guard that never becomes active."""
    return lambda patch: patch.setattr(guards, name, lambda used, limit, *_: Limit(0, used, limit))


def without_cap(name: str) -> Callable[[Patch], None]:
    """A sizer that forgets one cap."""

    def plant(patch: Patch) -> None:
        whole = sizer.caps_of
        patch.setattr(sizer, "caps_of", lambda *args: whole(*args)._replace(**{name: math.inf}))

    return plant


def no_drawdown(patch: Patch) -> None:
    # Each of the three holds back alone: only without all of them is anything entered.
    blind("drawdown")(patch)
    patch.setattr(sizer, "drawdown_scale", lambda *_: 1.0)
    patch.setattr(sizer, "heat_limit", lambda *_: 1.0)


def no_daily_loss(patch: Patch) -> None:
    blind("daily_loss")(patch)
    patch.setattr(sizer, "heat_limit", lambda *_: 1.0)  # it counts the day's loss too


def no_reward(patch: Patch) -> None:
    patch.setattr(sizing, "risk_reward", lambda used, limit: Limit(0, used, limit))


def more_positions(patch: Patch) -> None:
    whole = Gates.why_unfit
    patch.setattr(Gates, "why_unfit", lambda self, a, s, taken, most, now: whole(self, a, s, taken, most + 2, now))


def double_size(patch: Patch) -> None:
    whole = sizer.size_order
    patch.setattr(sizer, "size_order", lambda *args: (order := whole(*args))._replace(lots=2 * order.lots))


def double_first_stop(patch: Patch) -> None:
    whole = exits.stop_distance
    patch.setattr(exits, "stop_distance", lambda *args: 2 * whole(*args))


def no_stop(patch: Patch) -> None:
    patch.setattr(Protector, "_hold_stop", lambda *_, **__: None)


def smaller_stop(patch: Patch) -> None:
    whole = OrderDesk.place

    def place(self: OrderDesk, account: Any, instrument: Any, **order: Any) -> Any:
        if order["purpose"] is Purpose.STOP:
            order["quantity"] -= instrument.lot_step
        return whole(self, account, instrument, **order)

    patch.setattr(OrderDesk, "place", place)


def sells_in_a_halt(patch: Patch) -> None:
    whole = Engine._standing
    patch.setattr(Engine, "_standing", lambda self, now: replace(whole(self, now), halted=False))


def crosses_the_spread(patch: Patch) -> None:
    whole = OrderDesk.place

    def place(self: OrderDesk, *args: Any, **kwargs: Any) -> Any:
        return whole(self, *args, **(kwargs | {"post_only": False}))

    patch.setattr(OrderDesk, "place", place)


def takes_whatever_it_gets(patch: Patch) -> None:
    patch.setattr(protect, "SLIPPAGE_STEP", D("0.15"))
    patch.setattr(protect, "SLIPPAGE_MOST", D("0.5"))


def sells_at_the_market(patch: Patch) -> None:
    whole = OrderDesk.place

    def place(self: OrderDesk, *args: Any, **kwargs: Any) -> Any:
        if kwargs["purpose"] is Purpose.EXIT:
            kwargs |= {"order_type": OrderType.MARKET, "price": None}
        return whole(self, *args, **kwargs)

    patch.setattr(OrderDesk, "place", place)


def follows_without_end(patch: Patch) -> None:
    patch.setattr(entries, "REPRICED_AT_MOST", 9)


def crosses_anywhere(patch: Patch) -> None:
    whole = EntryKeeper.__init__

    def everywhere(self: EntryKeeper, *, config: Any, **others: Any) -> None:
        whole(self, config=replace(config, crossing_accounts=frozenset({"coinbase", "kraken"})), **others)

    patch.setattr(EntryKeeper, "__init__", everywhere)


def forgets_what_was_bought(patch: Patch) -> None:
    patch.setattr(EntryKeeper, "_left", lambda self, key, plan: D(plan.quantity))


def sends_before_the_first_has_ended(patch: Patch) -> None:
    patch.setattr(EntryKeeper, "_cancel", lambda self, account, order, now: replace(order, state=OrderState.CANCELED))


def any_peg(patch: Patch) -> None:
    patch.setattr(gates, "PEG_LOWEST", D(0))
    patch.setattr(gates, "PEG_HIGHEST", D(9))


def sells_a_part_first(patch: Patch) -> None:
    patch.setattr(Protector, "_made_free", lambda self, account, key, *, now, **_: self._taken_back(account, key, now))


def leaves_the_stop_of_the_rest(patch: Patch) -> None:
    whole = Protector._hold_stop

    def hold(self: Protector, account: Any, key: tuple[str, str], *args: Any, **kwargs: Any) -> None:
        if not self._desk.live(key[0], key[1], Purpose.STOP):
            whole(self, account, key, *args, **kwargs)

    patch.setattr(Protector, "_hold_stop", hold)


def watches_nothing(patch: Patch) -> None:
    patch.setattr(Protector, "_plan_all", lambda *_: None)


def flows_are_profit(patch: Patch) -> None:
    patch.setattr(performance, "with_flow", lambda before, *_: before)


def tier_is_kept_too_long(patch: Patch) -> None:
    patch.setattr(transitions, "DOWNGRADE_FRAC", 0.5)


PLANTED: list[tuple[str, str, Callable[[Patch], None], dict[str, Any]]] = [
    ("daily loss", "crash", no_daily_loss, {}),
    ("drawdown halt", "crash", no_drawdown, {}),
    ("loss streak", "crash", blind("loss_streak"), {"max_losses": 1}),
    ("error shut-off", "outage", blind("error_shutoff"), {"shuts_off_on_errors": True}),
    ("activation", "crash", blind("activation"), {"min_equity_usd": 8000.0}),
    ("venue minimum", "full", blind("venue_minimum"), {"venue_minimum_usd": {"coinbase": 6000.0, "kraken": 6000.0}}),
    ("spread", "prices", blind("spread"), {}),
    ("price sanity", "prices", blind("price_sanity"), {}),
    ("stale data", "prices", blind("stale_data"), {}),
    ("risk reward", "calm", no_reward, {}),
    ("cash buffer", "full", without_cap("buffer"), {}),
    ("heat", "crash", without_cap("heat"), {}),
    ("fee budget", "fees", without_cap("fees"), {}),
    ("risk per trade", "full", without_cap("risk"), {"risk_ceiling_pct": 0.5}),
    ("position cap", "crash", double_size, {}),
    ("positions", "full", more_positions, {"max_positions_ceiling": 1, "cash_buffer_frac": 0.15}),
    ("stop distance", "crash", double_first_stop, {}),
    ("unprotected", "crash", no_stop, {}),
    ("stop size", "crash", smaller_stop, {}),
    ("sold in a halt", "full", sells_in_a_halt, {"drawdown_frac": 0.03, "halt_flattens": False}),
    ("post-only", "crash", crosses_the_spread, {}),
    ("slippage", "crash", takes_whatever_it_gets, {}),
    ("sale without a bound", "crash", sells_at_the_market, {}),
    ("repriced", "crash", follows_without_end, {}),
    ("crossing", "crash", crosses_anywhere, {"crossing_accounts": frozenset[str]()}),
    ("bought twice", "crash", forgets_what_was_bought, {}),
    ("two entries at a time", "crash", sends_before_the_first_has_ended, {}),
    ("off peg", "pegs", any_peg, {}),
    ("part before its stop", "full", sells_a_part_first, {}),
    ("stop size", "full", leaves_the_stop_of_the_rest, {}),
    ("unprotected", "crash", watches_nothing, {}),
    ("index", "flows", flows_are_profit, {}),
    ("tier", "flows", tier_is_kept_too_long, {}),
]


@pytest.mark.parametrize("planted", PLANTED, ids=[f"{entry[0]} {entry[2].__name__}" for entry in PLANTED])
def test_planted_violation_is_found(
    tmp_path: Path, monkeypatch: Patch, planted: tuple[str, str, Callable[[Patch], None], dict[str, Any]]
) -> None:
    rule, theme, plant, changes = planted
    plant(monkeypatch)
    assert found(tmp_path, rule, theme, **changes)
