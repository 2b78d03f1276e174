"""`halt`, `pause`, `resume`, `flatten`: obeyed by a running bot within a cycle, done at once where none runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from program_rig import SECONDS_MAX, Running, assert_fails, bot, bot_inside, pause, running, status, write_candles
from simulation_rig import (
    assert_books_equal_the_accounts,
    assert_positions_have_their_stops,
    fast_markets,
    reader,
    simulate,
)

from bot.domain.orders import Purpose


@pytest.fixture(autouse=True)
def fast() -> Iterator[None]:
    with fast_markets():
        yield


COMMANDS = (("halt",), ("pause",), ("resume",), ("flatten", "--yes"))
TRADING_CYCLES = 12
"""Begun at hour 13, the default market has two positions by then."""


def snapshot(folder: Path) -> dict[str, Any]:
    with reader(folder) as ledger:
        found = ledger.snapshot()
    assert found is not None
    return dict(found)


def wait_until(folder: Path, program: Running, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first snapshot that is as wanted; the bot must be running meanwhile."""
    ends = time.monotonic() + SECONDS_MAX
    while not wanted(found := snapshot(folder)):
        assert program.process.poll() is None, program.err
        assert time.monotonic() < ends, f"never came; last: {found['engine_mode']} {found['positions']}"
        pause(0.02)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_control_in_an_empty_folder_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    assert_fails(
        bot_inside(monkeypatch, tmp_path, *command), 3, "not running and nothing recorded yet", "`bash scripts/run`"
    )
    assert list(tmp_path.iterdir()) == []


def test_control_of_a_running_bot_is_obeyed_within_a_cycle(tmp_path: Path) -> None:
    simulate(tmp_path, TRADING_CYCLES)
    assert len(snapshot(tmp_path)["positions"]) == 1
    with running(tmp_path, "run", "--interval", "0.05") as program:
        program.wait_for_cycles(1)

        def tell(*command: str) -> None:
            done = bot(tmp_path, *command)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("Told the running bot (SIMULATED). Waiting until it takes the command, ")
            assert "\nTaken. " in done.stdout

        tell("pause")
        assert wait_until(tmp_path, program, lambda s: s["engine_mode"] == "REDUCE_ONLY")["positions"] != []
        tell("resume")
        wait_until(tmp_path, program, lambda s: s["engine_mode"] == "ACTIVE")
        tell("halt")
        halted = wait_until(tmp_path, program, lambda s: s["engine_mode"] == "HALTED")
        assert [order["purpose"] for order in halted["orders"]] == ["stop"] * len(halted["positions"])
        assert bot(tmp_path, "status").returncode == 4
        tell("resume")
        wait_until(tmp_path, program, lambda s: s["engine_mode"] == "ACTIVE")
        tell("flatten", "--yes")
        flat = wait_until(tmp_path, program, lambda s: s["engine_mode"] == "HALTED" and not s["positions"])
        assert flat["orders"] == []
        tell("resume")
        wait_until(tmp_path, program, lambda s: s["engine_mode"] == "ACTIVE")
        assert program.process.poll() is None
    with reader(tmp_path) as ledger:
        names = [event.name for event in reversed(ledger.guard_events()) if event.name.startswith("command_")]
    assert names == [f"command_{name}" for name in ("pause", "resume", "halt", "resume", "flatten", "resume")]


def test_control_without_a_bot_does_it_at_once(tmp_path: Path) -> None:
    simulate(tmp_path, TRADING_CYCLES)
    modes = {}
    for command in (("pause",), ("resume",), ("halt",)):
        done = bot(tmp_path, *command)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("No bot was running; done here (SIMULATED). ")
        modes[command[0]] = snapshot(tmp_path)["engine_mode"]
    assert modes == {"pause": "REDUCE_ONLY", "resume": "ACTIVE", "halt": "HALTED"}
    assert_positions_have_their_stops(tmp_path, assert_books_equal_the_accounts(tmp_path))


def test_halt_survives_a_restart_and_ends_with_resume(tmp_path: Path) -> None:
    simulate(tmp_path, 1)
    assert len(snapshot(tmp_path)["orders"]) == 1  # an entry rests
    assert bot(tmp_path, "halt").returncode == 0
    assert {order["purpose"] for order in snapshot(tmp_path)["orders"]} <= {"stop"}
    assert {result.mode for result in simulate(tmp_path, 30)} == {"HALTED"}
    with reader(tmp_path) as ledger:
        assert [order.created_at for order in ledger.orders() if order.purpose is Purpose.ENTRY][2:] == []
    assert bot(tmp_path, "resume").returncode == 0
    assert {result.mode for result in simulate(tmp_path, 2)} == {"ACTIVE"}


def test_flatten_without_a_bot_sells_all_and_resume_trades_again(tmp_path: Path) -> None:
    simulate(tmp_path, TRADING_CYCLES)
    assert bot(tmp_path, "flatten", "--yes").returncode == 0
    book = assert_books_equal_the_accounts(tmp_path)
    assert (book.positions, len(book.trades)) == ({}, 1)
    with reader(tmp_path) as ledger:
        assert [order for order in ledger.orders() if order.is_live] == []
    document = status(tmp_path)
    assert document["snapshot"]["engine_mode"] == "HALTED"
    assert document["snapshot"]["equity_usd"] == pytest.approx(float(sum(book.cash.values())))
    assert [result for result in simulate(tmp_path, 40) if result.fills or result.orders_placed] == []
    assert bot(tmp_path, "resume").returncode == 0
    assert [fill.side for result in simulate(tmp_path, 150) for fill in result.fills][:1] == ["buy"]


def test_flatten_unconfirmed_sells_nothing(tmp_path: Path) -> None:
    simulate(tmp_path, TRADING_CYCLES)
    before = (tmp_path / "simulated" / "ledger.sqlite3").read_bytes()
    assert_fails(bot(tmp_path, "flatten"), 1, "nothing was sold", "--yes")
    assert (tmp_path / "simulated" / "ledger.sqlite3").read_bytes() == before
    assert not (tmp_path / "simulated" / "control").exists()


def test_resume_of_a_bot_that_is_not_halted_changes_nothing(tmp_path: Path) -> None:
    simulate(tmp_path, TRADING_CYCLES)
    held = [(p["symbol"], p["quantity"]) for p in snapshot(tmp_path)["positions"]]
    assert bot(tmp_path, "resume", "--reset-drawdown").returncode == 0
    assert snapshot(tmp_path)["engine_mode"] == "ACTIVE"
    assert [(p["symbol"], p["quantity"]) for p in snapshot(tmp_path)["positions"]] == held


@pytest.mark.parametrize("content", ["{", '{"command": "sell everything", "at": "now"}'])
def test_control_file_that_is_no_command_is_passed_over_by_a_run(tmp_path: Path, content: str) -> None:
    simulate(tmp_path, 1)
    folder = tmp_path / "simulated" / "control"
    folder.mkdir()
    (folder / "0000000000000000001-aaaaaaaa.json").write_text(content, encoding="utf-8")
    done = bot(tmp_path, "run", "--once")
    assert done.returncode == 0
    assert "passed over" in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(tmp_path)["engine_mode"] == "ACTIVE"


def test_control_after_a_replay_steers_the_account_not_the_replay(tmp_path: Path) -> None:
    simulate(tmp_path, TRADING_CYCLES)
    bars = [(1_640_995_200_000 + day * 86_400_000, 1.0, 1.0, 1.0, 1.0, 1.0) for day in range(9)]
    write_candles(tmp_path, "binance_BTC-USDT_1d.csv", bars)
    assert bot(tmp_path, "run", "--replay", ".").returncode == 0  # newer than the account
    done = bot(tmp_path, "halt")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No bot was running; done here (SIMULATED). HALTED")
    assert_fails(bot(tmp_path, "halt", "--mode", "replay"), 3, "a replay cannot be steered")
    assert_fails(bot(tmp_path, "halt", "--mode", "live"), 3, "not running and nothing recorded yet")


def test_control_where_only_a_replay_is_recorded_ends_with_3(tmp_path: Path) -> None:
    bars = [(1_640_995_200_000 + day * 86_400_000, 1.0, 1.0, 1.0, 1.0, 1.0) for day in range(9)]
    write_candles(tmp_path, "binance_BTC-USDT_1d.csv", bars)
    assert bot(tmp_path, "run", "--replay", ".").returncode == 0
    assert_fails(bot(tmp_path, "flatten", "--yes"), 3, "only a replay is recorded here")
