"""`halt`, `pause`, `resume`, `flatten` on a paper account, and beside a live one: which of them obeys, and how."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live_rig import D, Exchanges, LiveBot, live_bot, noon_exchanges, run_live
from paper_rig import paper_cash, private_requests, public, snapshot_in, wait_for
from program_rig import SECONDS_MAX, Running, bot, pause, running

from bot.storage.ledger_reader import LedgerReader

FAST = ("run", "--paper", "--interval", "0.1")
QUEUED = "Told the running bot ({}). Waiting until it takes the command, at most "
DONE_HERE = "No bot was running; done here ({}). "


def live_snapshot(folder: Path) -> dict[str, Any]:
    with LedgerReader(folder / "ledger.sqlite3") as reader:
        found = reader.snapshot()
    assert found is not None
    return dict(found)


def wait_live(folder: Path, program: LiveBot, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first snapshot of the live account that is as wanted."""
    program.wait_cycles(1)
    ends = time.monotonic() + SECONDS_MAX
    while not wanted(found := live_snapshot(folder)):
        assert program.process.poll() is None, program.err
        assert time.monotonic() < ends, (
            f"never came: {found['engine_mode']} {found['positions']}\n{program.err[-2000:]}"
        )
        pause(0.05)
    return found


def is_protected(snapshot: Any) -> bool:
    return len(snapshot["positions"]) == 1 and all(position["stop_resting"] for position in snapshot["positions"])


def tell(folder: Path, expected: str, *command: str, **variables: str) -> None:
    done = bot(folder, *command, **variables)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith(expected), done.stdout
    assert ("\nTaken. " in done.stdout) is done.stdout.startswith("Told the running bot")


def test_live_account_without_a_bot_is_halted_by_the_command_itself(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        assert run_live(tmp_path, site, "--once").returncode == 0
        assert len(site.live_orders()) == 3
        tell(tmp_path, DONE_HERE.format("LIVE") + "HALTED", "halt", **site.settings())
        assert site.live_orders() == []
        assert live_snapshot(tmp_path)["engine_mode"] == "HALTED"
        # and it stays so, over another start, until it is told
        assert run_live(tmp_path, site, "--once").returncode == 0
        assert site.live_orders() == []
        tell(tmp_path, DONE_HERE.format("LIVE") + "Resumed.", "resume", **site.settings())
        assert live_snapshot(tmp_path)["engine_mode"] == "ACTIVE"


def test_running_paper_bot_obeys_every_command_within_a_cycle(tmp_path: Path) -> None:
    with noon_exchanges() as site, running(tmp_path, *FAST, **public(site)) as program:
        buy_bitcoin(tmp_path, site, program)
        queued = QUEUED.format("PAPER")
        tell(tmp_path, queued, "pause")
        wait_for(tmp_path, program, lambda s: s["engine_mode"] == "REDUCE_ONLY")
        tell(tmp_path, queued, "resume")
        wait_for(tmp_path, program, lambda s: s["engine_mode"] == "ACTIVE")
        tell(tmp_path, queued, "halt")
        halted = wait_for(tmp_path, program, lambda s: s["engine_mode"] == "HALTED")
        assert [order["purpose"] for order in halted["orders"]] == ["stop"]
        tell(tmp_path, queued, "flatten", "--yes")
        flat = wait_for(tmp_path, program, lambda s: not s["positions"])
        assert (flat["engine_mode"], flat["orders"]) == ("HALTED", [])
        assert private_requests(site) == []


def test_paper_account_without_a_bot_is_sold_by_flatten(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        with running(tmp_path, *FAST, **public(site)) as program:
            buy_bitcoin(tmp_path, site, program)
            program.signal(signal.SIGTERM)
            assert program.wait() == 0
        site.put("BTC", 60_000)
        tell(tmp_path, DONE_HERE.format("PAPER"), "flatten", "--yes", **public(site))
        flat = snapshot_in(tmp_path)
        assert flat is not None
        assert (flat["engine_mode"], flat["positions"], flat["orders"]) == ("HALTED", [], [])
        # bought and sold at the bid of 59,994: 260 - 65.51944740 x (0.40 % + 0.80 %), each fee up to 1e-8:
        # 0.26207779 + 0.52415558
        assert paper_cash(tmp_path) == {"coinbase": D(260), "kraken": D("259.21376663")}
        tell(tmp_path, DONE_HERE.format("PAPER") + "Resumed.", "resume", **public(site))


def buy_bitcoin(folder: Path, site: Exchanges, program: Running) -> None:
    wait_for(folder, program, lambda s: len(s["orders"]) == 3)
    site.put("BTC", 59_700)
    wait_for(folder, program, is_protected)


def test_command_without_a_mode_goes_to_the_bot_that_runs(tmp_path: Path) -> None:
    # The live account is older and idle, and a paper bot runs beside it.
    with noon_exchanges() as site:
        assert run_live(tmp_path, site, "--once").returncode == 0
        with running(tmp_path, *FAST, **public(site)) as program:
            wait_for(tmp_path, program, lambda s: s["engine_mode"] == "ACTIVE")
            tell(tmp_path, QUEUED.format("PAPER"), "halt")
            wait_for(tmp_path, program, lambda s: s["engine_mode"] == "HALTED")
            assert live_snapshot(tmp_path)["engine_mode"] == "ACTIVE"
            assert len(site.live_orders()) == 3
            tell(tmp_path, DONE_HERE.format("LIVE"), "halt", "--mode", "live", **site.settings())
            assert site.live_orders() == []


def test_two_running_bots_without_a_mode_the_one_with_real_money_obeys(tmp_path: Path) -> None:
    with noon_exchanges() as site, live_bot(tmp_path, site) as live:
        wait_live(tmp_path, live, lambda s: len(s["orders"]) == 3)
        other = tmp_path / "logs of the other"
        other.mkdir()
        with running(other, *FAST, **public(site, STATE_DIR=str(tmp_path))) as paper:
            paper.wait_for_cycles(1)
            tell(tmp_path, QUEUED.format("LIVE"), "pause")
            wait_live(tmp_path, live, lambda s: s["engine_mode"] == "REDUCE_ONLY")
            found = snapshot_in(tmp_path)
            assert found is not None
            assert found["engine_mode"] == "ACTIVE"


def test_commands_are_recorded_in_the_ledger_of_their_account(tmp_path: Path) -> None:
    with noon_exchanges() as site:
        assert run_live(tmp_path, site, "--once").returncode == 0
        for command in ("pause", "resume", "halt"):
            tell(tmp_path, DONE_HERE.format("LIVE"), command, **site.settings())
    with sqlite3.connect(f"file:{tmp_path / 'ledger.sqlite3'}?mode=ro", uri=True) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM guard_events WHERE name LIKE 'command_%'")]
    connection.close()
    assert names == ["command_pause", "command_resume", "command_halt"]
