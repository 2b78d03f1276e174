from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.domain.modes import TradingMode
from bot.storage.lock import ModeLock
from bot.storage.modes import ledger_path, mode_folder
from bot.views.folders import NothingRecordedError, find_place, no_snapshot

T0 = datetime(2026, 3, 2, 14, 1, tzinfo=UTC)


def a_ledger(state_dir: Path, mode: TradingMode, *, age_s: int) -> Path:
    """A ledger file, unread by what is tested here, last written ``age_s`` before T0."""
    path = ledger_path(mode_folder(state_dir, mode))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rows")
    os.utime(path, (T0.timestamp() - age_s,) * 2)
    return path


def test_find_place_nothing_recorded_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").touch()  # an empty file holds nothing
    with pytest.raises(NothingRecordedError) as caught:
        find_place(tmp_path, None)
    assert str(caught.value) == (
        f"not running and nothing recorded yet in {tmp_path}: start it with `bash scripts/run`"
    )
    with pytest.raises(NothingRecordedError, match=f"{tmp_path}/simulated/replay:"):
        find_place(tmp_path, TradingMode.REPLAY)


def test_find_place_without_a_running_bot_takes_the_newest(tmp_path: Path) -> None:
    a_ledger(tmp_path, TradingMode.LIVE, age_s=100)
    a_ledger(tmp_path, TradingMode.SIMULATED, age_s=50)
    place = find_place(tmp_path, None)
    assert (place.mode, place.holder, (T0 - place.written_at).total_seconds()) == (TradingMode.SIMULATED, None, 50.0)


def test_find_place_newer_rows_in_the_wal_count(tmp_path: Path) -> None:
    live = a_ledger(tmp_path, TradingMode.LIVE, age_s=100)
    a_ledger(tmp_path, TradingMode.SIMULATED, age_s=50)
    wal = live.with_name("ledger.sqlite3-wal")
    wal.touch()
    os.utime(wal, (T0.timestamp() - 10,) * 2)
    assert find_place(tmp_path, None).mode is TradingMode.LIVE


def test_find_place_a_running_bot_wins_over_a_newer_ledger(tmp_path: Path) -> None:
    a_ledger(tmp_path, TradingMode.LIVE, age_s=0)
    a_ledger(tmp_path, TradingMode.REPLAY, age_s=100)
    with ModeLock(mode_folder(tmp_path, TradingMode.REPLAY), now=T0, command="replay"):
        place = find_place(tmp_path, None)
    assert place.mode is TradingMode.REPLAY
    assert place.holder is not None
    assert place.holder.pid == os.getpid()


def test_find_place_of_two_running_bots_real_money_comes_first(tmp_path: Path) -> None:
    for mode, age_s in ((TradingMode.LIVE, 100), (TradingMode.PAPER, 0)):
        a_ledger(tmp_path, mode, age_s=age_s)
    with (
        ModeLock(mode_folder(tmp_path, TradingMode.PAPER), now=T0, command="run"),
        ModeLock(mode_folder(tmp_path, TradingMode.LIVE), now=T0, command="run"),
    ):
        assert find_place(tmp_path, None).mode is TradingMode.LIVE


def test_find_place_a_wish_wins_over_a_running_bot(tmp_path: Path) -> None:
    a_ledger(tmp_path, TradingMode.LIVE, age_s=0)
    a_ledger(tmp_path, TradingMode.PAPER, age_s=0)
    with ModeLock(tmp_path, now=T0, command="run"):
        assert find_place(tmp_path, TradingMode.PAPER).mode is TradingMode.PAPER
        live = find_place(tmp_path, TradingMode.LIVE)
    assert str(no_snapshot(live)) == (f"running, but nothing recorded yet in {tmp_path}: its first cycle is not done")
