from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

from alerts_rig import AT, a_cycle, a_rejected_order
from hypothesis import given
from hypothesis import strategies as st
from view_samples import a_guard, a_position, a_snapshot, an_order

from bot.alerts.events import ENTRY_ENDING_LIMITS, KEPT_MAX, AlertWatch, CycleFacts, Event

COINS = ["BTC/USD", "ETH/USD", "SOL/USD"]


@st.composite
def lives(draw: st.DrawFn) -> list[CycleFacts]:
    """Up to 8 cycles, a minute apart, in which anything can be wrong or right again; each order fails once."""
    cycles = []
    orders = 0
    for minute in range(draw(st.integers(1, 8))):
        guards = draw(st.sets(st.sampled_from(sorted(ENTRY_ENDING_LIMITS))))
        bare, watched, unknown = (draw(st.sets(st.sampled_from(COINS))) for _ in range(3))
        rejected = draw(st.integers(0, 2))
        positions = [a_position(symbol=c, stop_resting=c not in bare, stop_watched=c in watched) for c in COINS]
        snapshot: Any = a_snapshot(
            guards=[a_guard(name, active=True) for name in guards],
            positions=positions,
            orders=[an_order(client_order_id=symbol, symbol=symbol, state="unknown") for symbol in unknown],
        )
        facts = a_cycle(
            snapshot if draw(st.integers(0, 4)) else None,
            at=AT + timedelta(minutes=minute),
            engine_mode=draw(st.sampled_from(["ACTIVE", "HALTED"])),
            reason=draw(st.sampled_from(["halted by the user", "halted by an error"])),
            rejections=[(a_rejected_order(orders + i, f"C{orders + i}/USD"), "no") for i in range(rejected)],
        )
        orders += rejected
        cycles.append(facts)
    return cycles


@given(cycles=lives())
def test_whatever_stays_as_it_is_is_told_once_over_restarts_and_the_same_with_and_without_them(
    cycles: list[CycleFacts],
) -> None:
    steady, restarted = AlertWatch(), AlertWatch()
    alerts = []
    for facts in cycles:
        restarted = AlertWatch(json.loads(json.dumps(restarted.memory())))
        new = steady.cycle_alerts(facts)
        assert restarted.cycle_alerts(facts) == new
        # The same state again: an unprotected position is told now at the latest, everything else was told.
        late = steady.cycle_alerts(facts_again(facts))
        assert restarted.cycle_alerts(facts_again(facts)) == late
        assert all("is unprotected" in alert.title for alert in late)
        assert steady.cycle_alerts(facts_again(facts)) == restarted.cycle_alerts(facts_again(facts)) == []
        alerts += new + late
    by_title = Counter(alert.title for alert in alerts if alert.event is Event.ORDER)
    assert all(times == 1 for times in by_title.values())
    assert all(alert.title.startswith("LIVE: ") for alert in alerts)


def facts_again(facts: CycleFacts) -> CycleFacts:
    """What a cycle that changes nothing says: what happened in the one before has not happened again."""
    return a_cycle(facts.snapshot, at=facts.at, engine_mode=facts.engine_mode, reason=facts.reason)


def test_memory_stays_bounded_whatever_is_told() -> None:
    watch = AlertWatch()
    for number in range(5 * KEPT_MAX):
        facts = a_cycle(
            a_snapshot(
                orders=[an_order(client_order_id=str(number), state="unknown")],
                positions=[a_position(symbol=f"C{number}/USD", stop_resting=False)],
            ),
            at=AT + timedelta(minutes=number),
            engine_mode="HALTED",
            reason=f"reason {number}",
            rejections=[(a_rejected_order(number + 1, f"C{number}/USD"), "no")],
        )
        watch.cycle_alerts(facts)
    memory: Any = watch.memory()
    assert len(memory["orders"]) == len(memory["rejected"]) == KEPT_MAX
    assert memory["orders"][-1] == str(5 * KEPT_MAX - 1)
    assert set(memory["conditions"]) == {
        f"halt reason {5 * KEPT_MAX - 1}",
        f"unprotected coinbase|C{5 * KEPT_MAX - 1}/USD",
    }
    assert len(json.dumps(memory)) < 20_000
