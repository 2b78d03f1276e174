"""`run` on the built-in market: what a stranger sees first, and that it is the same every time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from program_rig import assert_fails, bot, status
from simulation_rig import (
    NOW,
    assert_books_equal_the_accounts,
    assert_orders_are_told_apart,
    assert_positions_have_their_stops,
    equity_in,
    fast_markets,
    fills_in,
    orders_in,
    simulate,
    simulation,
)

from bot.domain.errors import ConfigError
from bot.venues.paper import PaperVenue


def test_run_60_cycles_off_terminal_logs_a_first_trade_and_ends_with_0(tmp_path: Path) -> None:
    done = bot(tmp_path, "run", "--cycles", "60", "--interval", "0")
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    logged = [line for line in lines if "|" in line]
    assert lines[0].startswith("PAPER, no real orders: no venue has complete credentials")
    assert [line.partition(":")[0] for line in lines[1:3]] == ["No answer from coinbase", "No answer from kraken"]
    assert lines[3] == "No exchange can be reached; the built-in market is used."
    assert lines[4].startswith("SIMULATED: prices are invented")
    assert [line for line in logged if "SIMULATED" not in line] == []
    assert sum("| cycle mode=SIMULATED " in line for line in logged) == 60
    assert [line for line in logged if "SIMULATED bought" in line]
    assert lines[-1] == f"Ended cleanly; the account is kept in {tmp_path.resolve() / 'simulated'}."
    assert "Traceback" not in done.stderr


def test_run_without_command_word_is_run(tmp_path: Path) -> None:
    done = bot(tmp_path, "--once")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("| cycle mode=SIMULATED ") == 1


def test_run_once_again_and_again_moves_on_an_hour_each(tmp_path: Path) -> None:
    # `run --once` from cron is as good as running forever, so it must not stand still
    times = []
    for _ in range(3):
        assert bot(tmp_path, "run", "--once").returncode == 0
        times.append(datetime.fromisoformat(status(tmp_path)["snapshot"]["at"]))
    assert [(later - earlier).total_seconds() for earlier, later in pairwise(times)] == [3600, 3600]


@pytest.mark.parametrize("pace", ["0", "2.5"])
def test_run_says_how_fast_invented_time_passes(tmp_path: Path, pace: str) -> None:
    done = bot(tmp_path, "run", "--once", "--interval", pace)
    words = {"0": "as fast as it can be computed", "2.5": "every 2.5 seconds"}
    assert f"an hour passes {words[pace]}," in done.stderr


@pytest.mark.parametrize("hour", range(24))
def test_run_begun_at_any_hour_trades_within_60_cycles(tmp_path: Path, hour: int) -> None:
    with fast_markets():
        results = simulate(tmp_path, 60, now=datetime(2026, 2, 3, hour, 30, tzinfo=UTC))
    assert next(fill.side for result in results for fill in result.fills) == "buy"


def test_run_same_seed_and_start_in_two_folders_trades_the_same(tmp_path: Path) -> None:
    one, other = (simulate(tmp_path / name, 60, seed=15) for name in ("one", "other"))
    assert [result.equity for result in one] == [result.equity for result in other]
    assert fills_in(tmp_path / "one") == fills_in(tmp_path / "other") != []
    assert orders_in(tmp_path / "one") == orders_in(tmp_path / "other")


def test_run_another_seed_trades_on_other_prices(tmp_path: Path) -> None:
    one, other = (simulate(tmp_path / str(seed), 60, seed=seed) for seed in (15, 16))
    assert [result.equity for result in one] != [result.equity for result in other]


@pytest.mark.parametrize("parts", [(30, 30), (1, 1, 1, 57)])
def test_run_in_parts_equals_one_run(tmp_path: Path, parts: tuple[int, ...]) -> None:
    whole = simulate(tmp_path / "whole", 60)
    # The wall's time at a later start means nothing: the simulation has its own.
    starts = [NOW, *(NOW + timedelta(days=900) for _ in parts[1:])]
    pieces = [
        result
        for now, cycles in zip(starts, parts, strict=True)
        for result in simulate(tmp_path / "parts", cycles, now=now)
    ]
    assert [(r.at, r.equity, r.mode, r.tier) for r in pieces] == [(r.at, r.equity, r.mode, r.tier) for r in whole]
    assert equity_in(tmp_path / "parts") == equity_in(tmp_path / "whole")
    assert fills_in(tmp_path / "parts") == fills_in(tmp_path / "whole") != []
    assert orders_in(tmp_path / "parts") == orders_in(tmp_path / "whole")


def test_run_for_two_simulated_months_keeps_exact_books_and_every_limit(tmp_path: Path) -> None:
    # with this seed: two venues, entries, stops, two closed trades and three open ones
    results = simulate(tmp_path, 60 * 24, seed=2, PAPER_EQUITY="260")
    book = assert_books_equal_the_accounts(tmp_path)
    assert_orders_are_told_apart(tmp_path)
    assert_positions_have_their_stops(tmp_path, book)
    assert (len(book.trades), len(book.positions)) == (2, 3)
    assert max(result.drawdown_frac for result in results) < 0.12
    assert min(result.equity for result in results) > 0
    assert results[-1].at - results[0].at == timedelta(hours=60 * 24 - 1)


def test_start_with_another_seed_than_the_stored_one_is_refused(tmp_path: Path) -> None:
    simulate(tmp_path, 1, seed=3)
    done = bot(tmp_path, "run", "--once", "--seed", "4")
    assert_fails(done, 78, "--seed 4", "runs on seed 3", "delete the folder")


@pytest.mark.parametrize(
    ("gone", "named"), [("ledger.sqlite3", "ledger.sqlite3"), ("paper_accounts.json", "paper_accounts.json")]
)
def test_start_with_half_an_account_says_which_half_is_missing(tmp_path: Path, gone: str, named: str) -> None:
    simulate(tmp_path, 1)
    (tmp_path / "simulated" / gone).unlink()
    assert_fails(bot(tmp_path, "run", "--once"), 78, f"{named} is missing", "delete the folder")


@pytest.mark.parametrize("deposits", [0, 1])
def test_start_killed_before_the_account_was_complete_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deposits: int
) -> None:
    # The very first start dies while it makes the play-money accounts, and the next start must not need help.
    genuine = PaperVenue.deposit
    made: list[str] = []

    def dies(venue: PaperVenue, asset: str, amount: object) -> None:
        if len(made) == deposits:
            raise KeyboardInterrupt
        made.append(asset)
        genuine(venue, asset, amount)  # type: ignore[arg-type]  # passed on as it came

    with monkeypatch.context() as patch:
        patch.setattr(PaperVenue, "deposit", dies)
        with pytest.raises(KeyboardInterrupt):
            simulate(tmp_path, 1, PAPER_EQUITY="260")
    assert len(made) == deposits
    results = simulate(tmp_path, 2, PAPER_EQUITY="260")
    assert results[0].equity == 260.0
    assert_books_equal_the_accounts(tmp_path)


def test_open_simulated_keeps_the_lock_only_while_open(tmp_path: Path) -> None:
    with simulation(tmp_path), pytest.raises(Exception, match="another process"), simulation(tmp_path):
        pass
    with pytest.raises(ConfigError, match="seed 15"), simulation(tmp_path, seed=9):
        pass
    simulate(tmp_path, 1)


def test_money_is_given_once_whatever_the_settings_say_later(tmp_path: Path) -> None:
    simulate(tmp_path, 2, PAPER_EQUITY="60")
    (richer,) = simulate(tmp_path, 1, PAPER_EQUITY="6000")
    (other,) = simulate(tmp_path, 1, PAPER_EQUITY="60", PRIMARY_BROKER="KRAKEN", SECONDARY_BROKER="COINBASE")
    assert max(richer.equity, other.equity) < 61


def test_held_coin_that_is_no_longer_traded_keeps_its_stop_and_can_be_sold(tmp_path: Path) -> None:
    simulate(tmp_path, 24)  # the default market begins with two trends
    with simulation(tmp_path) as session:
        held = {symbol for _, symbol in session.engine.book.positions}
    assert held
    other = ({"BTC/USD", "ETH/USD", "SOL/USD"} - held).pop().partition("/")[0]
    (result,) = simulate(tmp_path, 1, TRADE_ONLY=other)
    assert result.orders_placed == 0
    with simulation(tmp_path, TRADE_ONLY=other) as session:
        assert {symbol for _, symbol in session.engine.book.positions} == held
        assert {order.symbol for order in session.engine.desk.live()} == held
        session.engine.obey("flatten", {}, session.clock.now())
        session.engine.cycle(session.clock.now())
        assert session.engine.book.positions == {}


def test_venue_that_still_holds_something_cannot_be_left_out(tmp_path: Path) -> None:
    simulate(tmp_path, 24)
    done = bot(tmp_path, "run", "--once", PRIMARY_BROKER="KRAKEN", SECONDARY_BROKER="NONE")
    assert_fails(done, 78, "coinbase", "PRIMARY_BROKER or SECONDARY_BROKER", "flatten")
