"""The process dies at every single call to a port, and the next one finds everything as it must be.

A scripted fortnight holds entries, additions filled in parts, a stop-out, a reduction, deposits and a
withdrawal, a pause and a flatten. For every n the process ends just before the n-th write to the ledger, the
state file or a venue, which is also just after the one before it; a new engine over the same files goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine_rig import (
    BTC,
    ETH,
    Fuse,
    ProcessDiedError,
    Rig,
    assert_books_equal_venues,
    assert_orders_equal_venues,
    assert_protected,
    look_again,
    make_rig,
)

from bot.domain.orders import OrderState, Purpose

D = Decimal
RESTARTED_AFTER = timedelta(seconds=31)
"""By then a venue's "not here" counts as an answer, so that every cycle ends with nothing in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One cycle: ``happens`` once, ``command`` again if the process died (whoever gave it sees that it is not done)."""

    after_s: float = 60.0
    happens: Callable[[Rig], None] | None = None
    command: str = ""


def prices(**new: float) -> Callable[[Rig], None]:
    return lambda rig: rig.board.prices.update({f"{coin}/USD": price for coin, price in new.items()})


def partly(fraction: str, account: str, **new: float) -> Callable[[Rig], None]:
    def act(rig: Rig) -> None:
        rig.venues[account].core.next_fill_fraction = D(fraction)
        prices(**new)(rig)

    return act


def deposit(usd: int) -> Callable[[Rig], None]:
    return lambda rig: rig.venue.core.deposit("USD", D(usd))


def withdraw(usd: int) -> Callable[[Rig], None]:
    return lambda rig: rig.venue.core.withdraw("USD", D(usd))


def midnight(**closes: float) -> Callable[[Rig], None]:
    def act(rig: Rig) -> None:
        for symbol in rig.board.days:
            rig.board.close_day(symbol, closes[symbol.partition("/")[0]])
        rig.clock.moment = (rig.now + timedelta(days=1)).replace(hour=0, minute=1, second=0)

    return act


SCENARIO = (
    Step(after_s=0.0),
    Step(happens=prices(BTC=99.8, ETH=99.8)),  # both entries fill
    Step(happens=deposit(200)),
    Step(),  # seen twice: the tier goes up
    Step(after_s=0.0, happens=midnight(BTC=103.0, ETH=103.0)),  # both coins are added to
    Step(),
    Step(happens=partly("0.4", "kraken", BTC=102.7, ETH=102.7)),
    Step(happens=prices(BTC=102.5, ETH=102.5)),
    Step(happens=prices(BTC=80.0)),  # BTC falls through its stop
    Step(happens=prices(BTC=104.0)),
    Step(happens=withdraw(230)),
    Step(),  # a large outflow: a transfer may be under way
    Step(after_s=0.0, happens=midnight(BTC=105.0, ETH=103.5)),  # ETH is reduced, BTC waits
    Step(after_s=0.0, happens=midnight(BTC=107.0, ETH=104.0)),  # BTC is bought again
    Step(command="pause"),  # and taken back
    Step(command="resume"),
    Step(after_s=0.0, happens=midnight(BTC=109.0, ETH=104.5)),
    Step(happens=prices(BTC=108.6)),
    Step(command="flatten"),
    Step(),
    Step(command="resume"),
    Step(after_s=0.0, happens=midnight(BTC=111.0, ETH=106.0)),
    Step(happens=prices(BTC=110.6, ETH=105.6)),
    Step(),
)


def start(folder: Path, fuse: Fuse) -> Rig:
    cash = {"coinbase": "140", "kraken": "100"}
    far_away: dict[str, Any] = {"daily_loss_frac": 0.9, "drawdown_frac": 0.9}
    return make_rig(folder, coins=("BTC", "ETH"), cash=cash, fuse=fuse, **far_away)


def play(rig: Rig, check: Callable[[Rig], None]) -> int:
    """Run the scenario to its end through at most one death; returns the number of deaths."""
    deaths = 0
    for step in SCENARIO:
        rig.clock.moment += timedelta(seconds=step.after_s)
        if step.happens is not None:
            step.happens(rig)
        while True:
            if step.command:
                rig.control.put(step.command, reset_drawdown=False)
            try:
                rig.engine.cycle(rig.now)
            except ProcessDiedError:
                deaths += 1
                assert deaths == 1, f"died again {rig.fuse.at}"
                rig.clock.moment += RESTARTED_AFTER
                rig.restart()
                continue
            break
        look_again(rig)
        check(rig)
    return deaths


def check_cycle(rig: Rig) -> None:
    """What holds after every cycle in which the venues answered."""
    assert_orders_equal_venues(rig)
    assert_protected(rig)
    book = rig.engine.book
    for name, venue in rig.venues.items():
        ours = {s.partition("/")[0]: p.quantity for (a, s), p in book.positions.items() if a == name}
        theirs = {asset: b.total for asset, b in venue.core.balances().items() if asset != "USD"}
        assert ours == theirs, f"{name}: books {ours}, venue {theirs}"


def check_end(rig: Rig) -> None:
    assert_books_equal_venues(rig)
    orders = rig.orders()
    for name, venue in rig.venues.items():
        # Every order that the venue knows was journalled, under an id of its own.
        known = [*venue.core._ended, *venue.core._working]
        assert len(known) == len(set(known))
        assert set(known) <= {order.client_order_id for order in orders if order.account == name}
        fills, _ = venue.core.fills_since("")
        filled = Counter[str]()
        for fill in fills:
            filled[fill.client_order_id] += fill.quantity  # type: ignore[assignment]  # Decimals count too
        booked = {o.client_order_id: o.filled_quantity for o in orders if o.account == name and o.filled_quantity}
        assert booked == dict(filled)
    # No decision was carried out twice: an entry per coin and day at most.
    entries = Counter(
        (order.symbol, order.created_at.date())
        for order in orders
        if order.purpose is Purpose.ENTRY and order.state is not OrderState.REJECTED
    )
    assert max(entries.values()) == 1, entries
    assert [flow.amount for flow in rig.ledger.flows() if flow.note != "opening balance"] == [D(200), D(-230)]
    rig.restart()
    assert_books_equal_venues(rig)  # and rebuilt from the ledger they are the same
    assert rig.engine._tiers.current_name == "STARTER"


def test_scenario_without_a_death_holds_what_it_is_meant_to_hold(tmp_path: Path) -> None:
    fuse = Fuse()
    rig = start(tmp_path, fuse)
    assert play(rig, check_cycle) == 0
    check_end(rig)
    actions = {action for _, action in rig.decisions()}
    assert actions >= {"enter", "add", "reduce", "hold", "refuse"}
    trades = [(t.symbol, t.last_purpose) for t in rig.engine.book.trades]
    assert (BTC, "stop") in trades
    assert (ETH, "exit") in trades
    assert {p[1] for p in rig.engine.book.positions} == {BTC, ETH}
    states = {order.state for order in rig.orders(Purpose.ENTRY)}
    assert OrderState.CANCELED in states
    assert [change["direction"] for change in rig.engine.tier_history()] == ["up", "up", "down"]
    assert fuse.touched > 150


def test_death_at_any_call_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", Fuse())
    play(whole, check_cycle)
    calls = whole.fuse.touched
    for n in range(1, calls + 1):
        fuse = Fuse(left=n)
        rig = start(tmp_path / f"{n}", fuse)
        try:
            assert play(rig, check_cycle) == 1
            check_end(rig)
            # A trade more or less may change it a little; a deposit taken for a profit would change it by half.
            assert abs(rig.engine.performance.index - whole.engine.performance.index) < D("0.03")
        except Exception as e:
            raise AssertionError(f"died at call {n} of {calls}, {fuse.at}: {e}") from e
        rig.ledger.close()


def test_death_at_every_call_in_turn_ends_all_the_same(tmp_path: Path) -> None:
    """A process that never gets further than one more write still arrives."""
    rig = start(tmp_path, Fuse(left=1))
    deaths = 0
    for step in SCENARIO[:9]:
        rig.clock.moment += timedelta(seconds=step.after_s)
        if step.happens is not None:
            step.happens(rig)
        for _ in range(200):
            rig.fuse.touched = 0
            rig.fuse.left = 8  # enough for one order and its outcome
            try:
                rig.engine.cycle(rig.now)
            except ProcessDiedError:
                deaths += 1
                rig.clock.moment += RESTARTED_AFTER
                rig.restart()
                continue
            break
        else:
            raise AssertionError(f"no cycle ends, the last one died {rig.fuse.at}")
        rig.fuse.left = None
        look_again(rig)
        check_cycle(rig)
    assert deaths > 3
