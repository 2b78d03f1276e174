from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import pytest
from loguru import logger

from bot.cli.log import log_cycle
from bot.domain.modes import EngineMode
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.domain.refusal import GuardReading
from bot.domain.snapshot import Snapshot
from bot.engine.engine import CycleResult

NOW = datetime(2026, 2, 3, 0, 1, tzinfo=UTC)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    told: list[str] = []
    sink = logger.add(told.append, format="{level}|{message}")
    yield told
    logger.remove(sink)


def reading(name: str, action: str, about: str = "") -> GuardReading:
    return GuardReading(name=name, used=2.0, limit=2.0, unit="count", active=True, action=action, about=about)


def test_cycle_log_tells_rejections_and_limits_and_ends_with_the_canonical_line(lines: list[str]) -> None:
    order = Order(
        client_order_id="id",
        account="kraken",
        symbol="BTC/USD",
        intent_number=1,
        purpose=Purpose.STOP,
        side=Side.SELL,
        type=OrderType.STOP,
        quantity=Decimal("0.001"),
        stop_price=Decimal(90),
        reason="protective stop",
        state=OrderState.REJECTED,
        created_at=NOW,
        updated_at=NOW,
    )
    result = CycleResult(
        at=NOW,
        equity=99.5,
        drawdown_frac=0.005,
        exposure_frac=0.25,
        mode=EngineMode.REDUCE_ONLY,
        reason="the daily loss limit was reached",
        tier="STARTER",
        fills=(),
        rejections=((order, "volume minimum not met"),),
        orders_placed=1,
        decided=(),
        tier_change="",
        guards_activated=(
            reading("daily_loss", "no entries today"),
            reading("positions", "no new coin"),
            reading("venue_minimum", "no entries there", "kraken"),
        ),
        next_cycle_at=NOW,
        snapshot=None,
    )
    log_cycle(result, "SIMULATED", signal_rejections=True, entry_blocks=True)
    assert [line.rstrip() for line in lines] == [
        "WARNING|SIMULATED stop order for BTC/USD on kraken rejected: volume minimum not met",
        "WARNING|SIMULATED limit daily_loss is active: no entries today",
        "INFO|SIMULATED limit positions is active: no new coin",
        "INFO|SIMULATED limit venue_minimum (kraken) is active: no entries there",
        "INFO|cycle mode=SIMULATED at=2026-02-03T00:01:00Z engine=REDUCE_ONLY equity=99.50 tier=STARTER "
        'drawdown_pct=0.50 exposure_pct=25.0 orders=1 fills=0 reason="the daily loss limit was reached"',
    ]


def decided(**refusals: str) -> CycleResult:
    """A cycle that has decided: coin to the code that refused it, '' for one that was entered."""
    coins = [
        {
            "symbol": symbol,
            "score": 0.5,
            "action": "enter",
            "refusal": code,
            "refusal_limit": 0.75,
            "refusal_actual": 0.5,
            "refusal_unit": "score",
            "refusal_account": "kraken",
        }
        for symbol, code in refusals.items()
    ]
    return CycleResult(
        at=NOW,
        equity=99.5,
        drawdown_frac=0.0,
        exposure_frac=0.0,
        mode=EngineMode.ACTIVE,
        reason="",
        tier="STARTER",
        fills=(),
        rejections=(),
        orders_placed=0,
        decided=tuple(refusals),
        tier_change="",
        guards_activated=(),
        next_cycle_at=NOW,
        snapshot=cast(Snapshot, {"coins": coins}),
    )


@pytest.mark.parametrize("signals", [True, False])
@pytest.mark.parametrize("blocks", [True, False])
def test_log_switches_tell_weak_signals_and_blocked_entries_apart(
    lines: list[str], signals: bool, blocks: bool
) -> None:
    result = decided(BTC="signal_too_weak", ETH="no_breakout", SOL="cash_buffer", ADA="")
    log_cycle(result, "SIMULATED", signal_rejections=signals, entry_blocks=blocks)
    told = [line.partition("SIMULATED ")[2][:3] for line in lines[:-1]]  # the last is the canonical line
    assert told == ["BTC", "ETH"] * signals + ["SOL"] * blocks + ["ADA"]  # what was entered is always told
