"""Candle files that grow: durable page by page, whole whatever happens, extended at both ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import CandleDataError
from bot.domain.market import MS_PER_DAY, Candle
from bot.storage.candle_files import candle_file_name, candles_folder, open_source
from bot.storage.candle_reader import COLUMNS, Gap, read_candle_file
from bot.storage.candle_store import CandleStore

T0 = 1_704_067_200_000  # 2024-01-01
NAME = "coinbase_BTC-USD_1d.csv"
ROW = "1704067200000,100.0,103.0,98.0,101.0,7.5\n"


def day(number: int) -> Candle:
    return Candle(T0 + number * MS_PER_DAY, 100.0 + number, 103.0 + number, 98.0 + number, 101.0 + number, 7.5)


def days(first: int, end: int) -> list[Candle]:
    return [day(number) for number in range(first, end)]


def stored(path: Path) -> list[Candle]:
    series = read_candle_file(path, "1d").series
    return series.between(0, len(series))


def opened(folder: Path) -> CandleStore:
    return CandleStore(folder / NAME, "1d")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folder_and_names_are_those_that_the_reader_knows(tmp_path: Path) -> None:
    assert candles_folder(tmp_path) == tmp_path / "candles"
    assert candle_file_name("coinbase", "BTC/USD", "1d") == NAME
    opened(tmp_path).append(days(0, 3))
    data = open_source(tmp_path, "coinbase", ["BTC"])
    assert (data.timeframe, data.coins["BTC"].files, data.ignored) == ("1d", (NAME,), ())


def test_first_page_makes_the_file_and_later_ones_continue_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert (store.first_ms, store.last_ms) == (None, None)
    store.append([])
    assert names(tmp_path) == []
    store.append(days(0, 1))
    assert (tmp_path / NAME).read_text(encoding="ascii") == f"{COLUMNS}\n{ROW}"
    store.append(days(1, 4))
    opened(tmp_path).append([day(6)])
    assert stored(tmp_path / NAME) == [*days(0, 4), day(6)]
    again = opened(tmp_path)
    assert (again.first_ms, again.last_ms) == (T0, T0 + 6 * MS_PER_DAY)
    gap = Gap(T0 + 4 * MS_PER_DAY, T0 + 6 * MS_PER_DAY, 2)
    assert read_candle_file(tmp_path / NAME, "1d").gaps == (gap,)


@given(
    prices=st.lists(st.floats(1e-12, 1e12), min_size=4, max_size=4),
    volume=st.floats(0, 1e15),
)
def test_every_number_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, prices: list[float], volume: float
) -> None:
    low, first, close, high = (*sorted(prices)[:1], *sorted(prices)[1:3], max(prices))
    folder = tmp_path_factory.mktemp("numbers")
    candle = Candle(T0, first, high, low, close, volume)
    opened(folder).append([candle])
    assert stored(folder / NAME) == [candle]


def test_last_line_that_was_cut_off_anywhere_is_no_candle_and_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for cut in range(1, len(ROW)):
        path.unlink(missing_ok=True)
        opened(tmp_path).append(days(-2, 1))
        os.truncate(path, path.stat().st_size - cut)
        with pytest.raises(CandleDataError, match="line 4: "):
            read_candle_file(path, "1d")
        store = opened(tmp_path)
        assert store.last_ms == T0 - MS_PER_DAY
        store.append(days(0, 2))
        assert stored(path) == days(-2, 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        (f"{COLUMNS}\n", "no candle in it"),
        (f"time,open\n{ROW}", "line 1: the header"),
        (f"{COLUMNS}\n{ROW}x\n{ROW}", "line 3: number of columns is 1"),
        (f"{COLUMNS}\n{ROW}{ROW}", "line 3: timestamp 1704067200000 .* is there twice"),
        (f"{COLUMNS}\n{ROW}{'0' * 1500}", "line 3: number of columns"),
    ],
)
def test_damaged_file_is_refused_by_line_and_left_as_it_is(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / NAME
    path.write_text(content, encoding="ascii")
    with pytest.raises(CandleDataError, match=f"{NAME}.*{words}.*left as it is"):
        opened(tmp_path)
    assert path.read_text(encoding="ascii") == content


def test_packed_file_is_not_continued_beside_it(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.gz").touch()
    with pytest.raises(CandleDataError, match=r"1d\.csv\.gz: a packed file cannot be continued"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("candle", "words"),
    [
        (day(0)._replace(open_ms=T0 + 1), "not a multiple of the timeframe"),
        (day(0)._replace(high=99.0), "high 99.0 is below"),
        (day(0)._replace(low=0.0), "low is 0.0; a price must be above 0"),
        (day(0)._replace(close=float("nan")), "close is 'nan'; it must be a finite number"),
        (day(0)._replace(volume=-1.0), "volume is -1.0"),
    ],
)
def test_page_with_a_row_that_is_no_candle_is_not_stored(tmp_path: Path, candle: Candle, words: str) -> None:
    store = opened(tmp_path)
    store.append(days(-3, -1))
    with pytest.raises(CandleDataError, match=f"what the venue answered, line 3: .*{words}"):
        store.append([day(-1), candle])
    assert stored(tmp_path / NAME) == days(-3, -1)


def test_page_that_does_not_fit_on_the_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    store.append(days(0, 2))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CandleDataError, match="cannot be written: No space left on device"):
            store.append(days(2, 9))
    assert stored(tmp_path / NAME) == days(0, 2)
    store.append(days(2, 4))
    assert stored(tmp_path / NAME) == days(0, 4)
    assert names(tmp_path) == [NAME]


def test_file_that_somebody_else_has_changed_meanwhile_is_not_written_to(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append(days(0, 2))
    CandleStore(tmp_path / NAME, "1d").append([day(2)])
    with pytest.raises(CandleDataError, match="another program has changed it meanwhile"):
        store.append([day(2)])
    assert stored(tmp_path / NAME) == days(0, 3)


# ---- older candles


def test_older_candles_grow_beside_the_file_and_join_it(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append(days(10, 12))
    earlier = store.earlier()
    earlier.append(days(0, 4))
    assert stored(tmp_path / NAME) == days(10, 12)  # until they meet
    earlier = opened(tmp_path).earlier()  # the program was ended, and starts again
    assert earlier.last_ms == T0 + 3 * MS_PER_DAY
    earlier.append(days(4, 9))
    store.join(earlier)
    assert stored(tmp_path / NAME) == [*days(0, 9), *days(10, 12)]
    assert names(tmp_path) == [NAME]
    store.append([day(12)])
    assert (store.first_ms, stored(tmp_path / NAME)[-1]) == (T0, day(12))


def test_joining_nothing_changes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append(days(0, 2))
    store.join(store.earlier())
    assert stored(tmp_path / NAME) == days(0, 2)


def test_program_that_died_between_joining_and_removing_has_joined(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append(days(5, 7))
    earlier = store.earlier()
    earlier.append(days(0, 5))
    kept = earlier.path.read_bytes()
    store.join(earlier)
    earlier.path.write_bytes(kept)
    again = opened(tmp_path)
    assert again.earlier().last_ms is None
    assert (names(tmp_path), stored(tmp_path / NAME)) == ([NAME], days(0, 7))


def test_cut_off_ends_of_both_files_do_not_meet_a_candle(tmp_path: Path) -> None:
    opened(tmp_path).append(days(5, 8))
    opened(tmp_path).earlier().append(days(0, 4))
    for path in tmp_path.iterdir():
        os.truncate(path, path.stat().st_size - 3)
    store = opened(tmp_path)
    earlier = store.earlier()
    earlier.append(days(3, 5))
    store.join(earlier)
    store.append([day(7)])
    assert stored(tmp_path / NAME) == days(0, 8)


def test_half_of_a_file_that_a_killed_program_left_is_removed(tmp_path: Path) -> None:
    opened(tmp_path).append(days(0, 2))
    (tmp_path / f"{NAME}.x7_k2.tmp").write_text("half", encoding="ascii")
    (tmp_path / "other.tmp").touch()
    opened(tmp_path)
    assert names(tmp_path) == [NAME, "other.tmp"]


def test_link_to_a_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    opened(tmp_path / "disk").append(days(5, 7))
    (tmp_path / NAME).symlink_to(tmp_path / "disk" / NAME)
    store = opened(tmp_path)
    earlier = store.earlier()
    earlier.append(days(0, 5))
    store.join(earlier)
    assert (tmp_path / NAME).is_symlink()
    assert stored(tmp_path / "disk" / NAME) == days(0, 7)


def test_join_that_fails_leaves_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    store.append(days(5, 7))
    earlier = store.earlier()
    earlier.append(days(0, 5))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CandleDataError, match="No space left on device"):
            store.join(earlier)
    assert names(tmp_path) == [NAME, f"{NAME}.earlier"]
    store.join(earlier)
    assert stored(tmp_path / NAME) == days(0, 7)
