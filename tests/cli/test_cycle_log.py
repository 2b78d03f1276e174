from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import pytest
from loguru import logger

from bot.cli.log import CycleLog
from bot.domain.account import CoinsOut, Fill, Flow, Liquidity
from bot.domain.modes import EngineMode
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.domain.refusal import GuardReading
from bot.domain.snapshot import FindingView, Snapshot
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
        placed=(order,),
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
    CycleLog("SIMULATED", signal_rejections=True, entry_blocks=True).write(result)
    assert [line.rstrip() for line in lines] == [
        "INFO|SIMULATED sent: stop sell 0.001 BTC/USD at 90 on kraken: protective stop",
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
        decided=tuple(refusals),
        tier_change="",
        guards_activated=(),
        next_cycle_at=NOW,
        snapshot=cast(Snapshot, {"coins": coins, "findings": []}),
    )


@pytest.mark.parametrize("signals", [True, False])
@pytest.mark.parametrize("blocks", [True, False])
def test_log_switches_tell_weak_signals_and_blocked_entries_apart(
    lines: list[str], signals: bool, blocks: bool
) -> None:
    result = decided(BTC="signal_too_weak", ETH="no_breakout", SOL="cash_buffer", ADA="")
    CycleLog("SIMULATED", signal_rejections=signals, entry_blocks=blocks).write(result)
    told = [line.partition("SIMULATED ")[2][:3] for line in lines[:-1]]  # the last is the canonical line
    assert told == ["BTC", "ETH"] * signals + ["SOL"] * blocks + ["ADA"]  # what was entered is always told


def a_finding(code: str, about: str = "BTC/USD") -> FindingView:
    return FindingView(
        code=code, account="kraken", about=about, detail="0.1 are missing", since=NOW.isoformat(), blocks=False
    )


def with_findings(*findings: FindingView) -> CycleResult:
    return replace(decided(), snapshot=cast(Snapshot, {"coins": [], "findings": list(findings)}))


def test_findings_are_told_when_they_appear_and_when_they_are_settled(lines: list[str]) -> None:
    log = CycleLog("LIVE", signal_rejections=True, entry_blocks=True)
    missing, foreign = a_finding("coins_missing"), a_finding("foreign_coins", "DOGE")
    for result in (
        with_findings(missing, foreign),
        with_findings(foreign, missing),  # told
        replace(with_findings(), snapshot=None),  # this cycle says nothing of them
        with_findings(foreign),
        with_findings(missing, foreign),  # once more
    ):
        log.write(result)
    appeared = "coins of the bot are missing on kraken (BTC/USD), since 2026-02-03 00:01 UTC"
    assert [line.rstrip() for line in lines if "|cycle " not in line] == [
        f"WARNING|LIVE finding: {appeared}: 0.1 are missing",
        "INFO|LIVE finding: coins that the bot did not buy on kraken (DOGE), since 2026-02-03 00:01 UTC: "
        "0.1 are missing",
        f"INFO|LIVE settled: {appeared}",
        f"WARNING|LIVE finding: {appeared}: 0.1 are missing",
    ]


def test_orders_fills_and_flows_have_a_line_each(lines: list[str]) -> None:
    entry = Order(
        client_order_id="id",
        account="coinbase",
        symbol="BTC/USD",
        intent_number=1,
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.002"),
        price=Decimal("99.95"),
        post_only=True,
        reason="score 1.00",
        created_at=NOW,
        updated_at=NOW,
    )
    fill = Fill(
        fill_id="f",
        account="coinbase",
        symbol="BTC/USD",
        client_order_id="id",
        side=Side.BUY,
        quantity=Decimal("0.0005"),
        price=Decimal("99.95"),
        fee=Decimal("0.0003"),
        liquidity=Liquidity.MAKER,
        at=NOW,
    )
    gone = CoinsOut(account="coinbase", symbol="ETH/USD", quantity=Decimal("0.01"), price=Decimal(50), at=NOW)
    flows = [
        Flow(account="kraken", asset="USD", amount=Decimal(amount), at=NOW, note=note)
        for amount, note in (("50.00", "deposit"), ("-12.5", "withdrawal"))
    ]
    ended = replace(entry, state=OrderState.CANCELED, filled_quantity=Decimal("0.0005"))
    result = replace(
        decided(),
        flows=tuple(flows),
        coins_out=(gone,),
        placed=(entry, replace(entry, client_order_id="new")),
        fills=(replace(fill, client_order_id="new"), replace(fill, client_order_id="old")),
        canceled=((ended, "by the venue"), (replace(entry, client_order_id="old"), "")),
    )
    CycleLog("LIVE", signal_rejections=True, entry_blocks=True).write(result)
    bought = "INFO|LIVE bought 0.0005 BTC/USD at 99.95 on coinbase (maker, fee $0.0003)"
    what = "entry (limit) buy 0.002 BTC/USD at 99.95 on coinbase: score 1.00"
    assert [line.rstrip() for line in lines[:-1]] == [
        "INFO|LIVE deposit: +50.00 USD on kraken",
        "INFO|LIVE withdrawal: -12.5 USD on kraken",
        "WARNING|LIVE booked as gone: 0.01 ETH/USD at 50 on coinbase",
        bought,
        f"INFO|LIVE ended: {what}, filled 0",
        f"INFO|LIVE sent: {what}",
        f"INFO|LIVE sent: {what}",
        bought,
        f"INFO|LIVE ended: {what}, filled 0.0005 (by the venue)",
    ]
    assert " orders=2 fills=2" in lines[-1]
