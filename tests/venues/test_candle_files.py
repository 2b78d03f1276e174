"""The candle reader: what it accepts, what it chooses, and one test for every message."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import pytest

from bot.domain.errors import CandleDataError, ConfigError
from bot.domain.market import MS_PER_DAY, TIMEFRAME_MS, Candle
from bot.storage import candle_reader
from bot.storage.candle_files import SourceData, open_source
from bot.storage.candle_reader import COLUMNS, CandleSeries, Gap, gap_summary, read_candle_file

T0 = 1_704_067_200_000  # 2024-01-01
HOUR = TIMEFRAME_MS["1h"]


def row(number: int, prices: str = "100,110,90,105", *, length: int = HOUR, volume: str = "1.5") -> str:
    return f"{T0 + number * length},{prices},{volume}"


def write(path: Path, *rows: str, header: str = COLUMNS, end: str = "\n") -> Path:
    data = ("\n".join([header, *rows]) + end).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_range(folder: Path, name: str, first_day: float, last_day: float, *, without: range = range(0)) -> None:
    """Bars from T0 + ``first_day`` to T0 + ``last_day``; bar numbers in ``without`` are left out."""
    length = TIMEFRAME_MS[name.split("_")[2].removesuffix(".gz").removesuffix(".csv")]
    first, last = int(first_day * MS_PER_DAY) // length, int(last_day * MS_PER_DAY) // length
    write(folder / name, *(row(number, length=length) for number in range(first, last) if number not in without))


# ---- one file


@pytest.mark.parametrize("name", ["x_BTC-USD_1h.csv", "x_BTC-USD_1h.csv.gz"])
def test_file_plain_or_gzipped_is_read(tmp_path: Path, name: str) -> None:
    found = read_candle_file(write(tmp_path / name, row(0), row(1, "105,120.5,100,110")), "1h")
    assert found.series.between(0, 2) == [
        Candle(T0, 100.0, 110.0, 90.0, 105.0, 1.5),
        Candle(T0 + HOUR, 105.0, 120.5, 100.0, 110.0, 1.5),
    ]
    assert found.series[1] == Candle(T0 + HOUR, 105.0, 120.5, 100.0, 110.0, 1.5)
    assert (len(found.series), found.gaps) == (2, ())


def test_file_of_another_system_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x_BTC-USD_1h.csv"
    path.write_bytes(f"\ufeff{COLUMNS}\r\n{row(0)}\r\n".encode())
    assert len(read_candle_file(path, "1h").series) == 1


def test_gaps_are_listed_and_not_filled(tmp_path: Path) -> None:
    path = write(tmp_path / "x_BTC-USD_1h.csv", row(0), row(2), row(3), row(7))
    found = read_candle_file(path, "1h")
    assert len(found.series) == 4
    assert found.gaps == (Gap(T0 + HOUR, T0 + 2 * HOUR, 1), Gap(T0 + 4 * HOUR, T0 + 7 * HOUR, 3))
    assert gap_summary(found.gaps) == "2 gaps, 4 bars missing and skipped, longest 3 from 2024-01-01 04:00 UTC"
    assert gap_summary(found.gaps[:1]) == "1 gap, 1 bar missing and skipped, longest 1 from 2024-01-01 01:00 UTC"
    assert gap_summary([]) == "no gaps"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            f"{T0 + HOUR},100,110,90,105",
            "line 3: number of columns is 5, needed are 6 (timestamp,open,high,low,close,volume): ",
        ),
        (row(1) + ",9", "line 3: number of columns is 7, needed are 6"),
        ("", "line 3: number of columns is 1, needed are 6"),
        ("2024-01-01,1,1,1,1,1", "line 3: timestamp is '2024-01-01'; it must be whole milliseconds since 1970"),
        ("-5,1,1,1,1,1", "line 3: timestamp is '-5'"),
        (f"{T0 // 1000},1,1,1,1,1", "timestamp 1704067200 is outside the years 2000 to 2099 (seconds? they must be"),
        ("5000,1,1,1,1,1", "timestamp 5000 is outside the years 2000 to 2099"),
        ("9999999999999,1,1,1,1,1", "timestamp 9999999999999 is outside the years 2000 to 2099"),
        (row(1, "100,abc,90,105"), "line 3: high is 'abc'; it must be a finite number"),
        (row(1, "100,110,,105"), "line 3: low is ''; it must be a finite number"),
        (row(1, "nan,110,90,105"), "line 3: open is 'nan'; it must be a finite number"),
        (row(1, "100,inf,90,105"), "line 3: high is 'inf'; it must be a finite number"),
        (row(1, "100,1e999,90,105"), "line 3: high is '1e999'; it must be a finite number"),
        (row(1, "100,1_10,90,105"), "line 3: high is '1_10'; it must be a finite number"),
        (row(1, volume="inf"), "line 3: volume is 'inf'; it must be a finite number"),
        (row(1, "100,110,0,105"), "line 3: low is 0.0; a price must be above 0"),
        (row(1, "-1,110,-2,105"), "line 3: open is -1.0; a price must be above 0"),
        (row(1, volume="-0.1"), "line 3: volume is -0.1; it must be 0 or more"),
        (row(1, "100,104,90,105"), "line 3: high 104.0 is below open 100.0, close 105.0 or low 90.0"),
        (row(1, "100,99,90,95"), "line 3: high 99.0 is below open 100.0"),
        (row(1, "100,110,101,105"), "line 3: low 101.0 is above open 100.0 or close 105.0; it must be the lowest"),
        (row(1, "100,110,99,98"), "line 3: low 99.0 is above open 100.0 or close 98.0"),
        (row(0), "line 3: timestamp 1704067200000 (2024-01-01 00:00 UTC) is there twice"),
        (row(-1), "line 3: timestamp 1704063600000 (2023-12-31 23:00 UTC) comes after 1704067200000"),
        (f"{T0 + 1},100,110,90,105,1", "line 3: timestamp 1704067200001 is not a multiple of the timeframe (3600000"),
        ("\x01\x02\xff" * 3000, "line 3: number of columns is 1"),
    ],
)
def test_bad_row_is_named_with_line_value_and_what_is_allowed(tmp_path: Path, bad: str, message: str) -> None:
    path = write(tmp_path / "x_BTC-USD_1h.csv", row(0), bad, row(2))
    with pytest.raises(CandleDataError) as caught:
        read_candle_file(path, "1h")
    assert str(caught.value).startswith("x_BTC-USD_1h.csv, ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_first_row_off_the_grid_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x_BTC-USD_4h.csv", row(1))
    with pytest.raises(CandleDataError, match=r"line 2: timestamp 1704070800000 is not a multiple .*14400000 ms"):
        read_candle_file(path, "4h")


def test_last_line_without_a_break_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x_BTC-USD_1h.csv", row(0), row(1), end="")
    with pytest.raises(CandleDataError, match="line 3: the last line does not end with a line break"):
        read_candle_file(path, "1h")


def test_last_line_cut_off_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x_BTC-USD_1h.csv", row(0), f"{T0 + HOUR},100,11", end="")
    with pytest.raises(CandleDataError, match=r"line 3: number of columns is 3.*the file seems to be cut off"):
        read_candle_file(path, "1h")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    for name in ("x_BTC-USD_1h.csv", "x_BTC-USD_1h.csv.gz"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(CandleDataError, match="the file is empty; its first line must be timestamp,open"):
            read_candle_file(tmp_path / name, "1h")


def test_file_with_only_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CandleDataError, match="there is no candle in it, only the header"):
        read_candle_file(write(tmp_path / "x_BTC-USD_1h.csv"), "1h")


@pytest.mark.parametrize("header", ["time,open,high,low,close,volume", COLUMNS + ",trades", "\x00\x01\x02", row(0)])
def test_other_header_is_refused(tmp_path: Path, header: str) -> None:
    path = write(tmp_path / "x_BTC-USD_1h.csv", row(0), header=header)
    with pytest.raises(CandleDataError, match=r"line 1: the header is '.*'; it must be timestamp,open,high,low"):
        read_candle_file(path, "1h")


def test_broken_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x_BTC-USD_1h.csv.gz"
    path.write_bytes(b"this is no gzip")
    with pytest.raises(CandleDataError, match=r"x_BTC-USD_1h.csv.gz: broken gzip file: Not a gzipped file"):
        read_candle_file(path, "1h")
    whole = write(path, *(row(number) for number in range(2000))).read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:40] + b"\xff" * 40 + whole[80:]):
        path.write_bytes(broken)
        with pytest.raises(CandleDataError, match="broken gzip file"):
            read_candle_file(path, "1h")


def test_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(CandleDataError, match=r"x_BTC-USD_1h.csv: cannot be read: No such file"):
        read_candle_file(tmp_path / "x_BTC-USD_1h.csv", "1h")


def test_series_refuses_a_candle_out_of_order() -> None:
    series = CandleSeries("1h")
    series.append(Candle(T0, 1, 1, 1, 1, 1))
    with pytest.raises(AssertionError):
        series.append(Candle(T0, 1, 1, 1, 1, 1))


# ---- a folder


def days(first: float, last: float) -> dict[str, Any]:
    """A range for ``open_source`` in days from T0."""
    return {"from_ms": T0 + int(first * MS_PER_DAY), "to_ms": T0 + int(last * MS_PER_DAY)}


def test_folder_missing_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: does not exist"):
        open_source(tmp_path / "nowhere", "x", ["BTC"])
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: not a folder"):
        open_source(tmp_path / "file", "x", ["BTC"])


def test_folder_without_candle_files_says_how_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "INDEX.md").touch()
    (tmp_path / "x_BTC-USD_7h.csv").touch()
    with pytest.raises(ConfigError, match=r"no candle files; they are named like binance_BTC-USDT_1h\.csv\.gz"):
        open_source(tmp_path, "x", ["BTC"])


def test_unknown_source_lists_those_that_are_there(tmp_path: Path) -> None:
    write_range(tmp_path, "beta_BTC-USD_1h.csv", 0, 1)
    write_range(tmp_path, "alpha_BTC-USD_1h.csv", 0, 1)
    with pytest.raises(ConfigError, match=r"source 'gamma': no files in .*; there are files of alpha, beta"):
        open_source(tmp_path, "gamma", ["BTC"])


def test_coins_without_any_file_are_named_and_all_of_them_are_an_error(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 2)
    write_range(tmp_path, "x_ETH-EUR_1h.csv", 0, 2)
    write_range(tmp_path, "x_SOL-USD_1d.csv", 0, 2)
    found = open_source(tmp_path, "x", ["BTC", "ETH", "SOL"])
    assert list(found.coins) == ["BTC"]
    assert found.missing == {"ETH": "no x file against USD, USDT, USDC", "SOL": "no x file of 1h candles"}
    assert found.notes() == [
        "BTC: 48 bars of 1h (x_BTC-USD_1h.csv), no gaps",
        "ETH: not replayed, no x file against USD, USDT, USDC",
        "SOL: not replayed, no x file of 1h candles",
    ]
    with pytest.raises(ConfigError, match="source 'x': no files for ETH against USD, USDT, USDC"):
        open_source(tmp_path, "x", ["ETH"])


def test_quote_is_usd_before_usdt_before_usdc(tmp_path: Path) -> None:
    for quote in ("USDC", "USDT", "USD"):
        write_range(tmp_path, f"x_BTC-{quote}_1h.csv", 0, 1)
        assert open_source(tmp_path, "x", ["BTC"]).coins["BTC"].quote == quote


def test_same_candles_plain_and_gzipped_are_refused(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 1)
    write_range(tmp_path, "x_BTC-USD_1h.csv.gz", 0, 1)
    with pytest.raises(ConfigError, match=r"x_BTC-USD_1h.csv and x_BTC-USD_1h.csv.gz hold the same candles"):
        open_source(tmp_path, "x", ["BTC"])


def chosen(folder: Path, first: float, last: float) -> str:
    return open_source(folder, "x", ["BTC", "SOL"], **days(first, last)).timeframe


def test_timeframe_is_1h_where_it_covers_as_much_as_any(tmp_path: Path) -> None:
    for coin, since in (("BTC", 0), ("SOL", 100)):  # SOL starts late; that is no reason against 1h
        for timeframe in ("1h", "4h", "1d", "15m"):
            write_range(tmp_path, f"x_{coin}-USD_{timeframe}.csv", max(since, 190 if timeframe == "15m" else 0), 200)
    assert chosen(tmp_path, 0, 200) == "1h"


def test_timeframe_is_the_coarser_one_where_1h_begins_too_late(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 50, 100)
    write_range(tmp_path, "x_BTC-USD_4h.csv", 0, 100)
    write_range(tmp_path, "x_BTC-USD_1d.csv", 0, 100)
    assert chosen(tmp_path, 0, 100) == "4h"
    assert chosen(tmp_path, 60, 100) == "1h"
    # 4h bars cover 50.5 days, then, from 49 d 8 h, 50.67; 1h bars 50: 99.01 %, then 98.7 %
    assert chosen(tmp_path, 49.5, 100) == "1h"
    assert chosen(tmp_path, 49.3, 100) == "4h"


def test_timeframe_finer_than_1h_only_where_nothing_else_covers_or_when_asked(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 10)
    write_range(tmp_path, "x_BTC-USD_15m.csv", 8, 14)
    write_range(tmp_path, "x_BTC-USD_5m.csv", 8, 14)
    assert chosen(tmp_path, 8, 10) == "1h"
    assert chosen(tmp_path, 11, 14) == "15m"
    assert open_source(tmp_path, "x", ["BTC"], timeframe="5m", **days(8, 10)).timeframe == "5m"
    with pytest.raises(ConfigError, match="timeframe '1m': x has files of 1h, 15m, 5m"):
        open_source(tmp_path, "x", ["BTC"], timeframe="1m")


@pytest.mark.parametrize(("first", "last"), [(-5, 3), (3, 12), (-9, -5), (20, 30)])
def test_range_beyond_the_data_names_what_there_is(tmp_path: Path, first: int, last: int) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 10)
    with pytest.raises(ConfigError, match=r"x has 1h from 2024-01-01 00:00 UTC to 2024-01-11 00:00 UTC"):
        open_source(tmp_path, "x", ["BTC"], **days(first, last))


def test_range_is_taken_to_the_day_and_open_ends_are_those_of_the_data(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0.5, 9.5)
    assert open_source(tmp_path, "x", ["BTC"], **days(0, 10)).from_ms == T0
    found = open_source(tmp_path, "x", ["BTC"])
    assert (found.from_ms, found.to_ms) == (T0 + 12 * HOUR, T0 + 228 * HOUR)


def test_range_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--from 2024-01-03 00:00 UTC must be before --to 2024-01-03 00:00 UTC"):
        open_source(tmp_path, "x", ["BTC"], **days(2, 2))


def test_coin_without_a_bar_in_the_range_is_named(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 10)
    write_range(tmp_path, "x_SOL-USD_1h.csv", 0, 3)
    found = open_source(tmp_path, "x", ["BTC", "SOL"], **days(5, 10))
    assert found.missing == {
        "SOL": "no 1h candle from 2024-01-06 00:00 UTC to 2024-01-11 00:00 UTC in x_SOL-USD_1h.csv"
    }


def test_history_before_the_range_is_there_as_warm_up(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 10)
    data = open_source(tmp_path, "x", ["BTC"], **days(8, 10)).coins["BTC"]
    assert len(data.execution) == 240
    assert len(data.daily) == 10


def test_gaps_outside_the_range_are_not_in_the_notes(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 10, without=range(30, 32))
    notes = [open_source(tmp_path, "x", ["BTC"], **days(first, 10)).notes()[0] for first in (0, 5)]
    assert notes == [
        "BTC: 238 bars of 1h (x_BTC-USD_1h.csv), "
        "1 gap, 2 bars missing and skipped, longest 2 from 2024-01-02 06:00 UTC",
        "BTC: 120 bars of 1h (x_BTC-USD_1h.csv), no gaps",
    ]


def test_days_before_the_first_and_after_the_last_candle_are_not_run(tmp_path: Path) -> None:
    """A coarser file reaches further back: the range fits that, and the bars that are run begin later."""
    write_range(tmp_path, "x_BTC-USD_1m.csv", 0, 1)
    write_range(tmp_path, "x_BTC-USD_5m.csv", 3, 8)
    found = open_source(tmp_path, "x", ["BTC"], timeframe=None, **days(0, 8))
    assert (found.timeframe, found.from_ms, found.to_ms) == ("5m", T0 + 3 * MS_PER_DAY, T0 + 8 * MS_PER_DAY)
    assert found.notes()[0] == (
        "there are candles of 5m from 2024-01-04 00:00 UTC to 2024-01-09 00:00 UTC only; no more is run"
    )
    whole = open_source(tmp_path, "x", ["BTC"], timeframe="5m", **days(3, 8.5))
    assert (whole.to_ms, whole.shortened) == (T0 + int(8.5 * MS_PER_DAY), "")  # less than a day


def test_coin_whose_candles_end_before_the_others_is_named(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 4)
    write_range(tmp_path, "x_SOL-USD_1h.csv", 1, 9)
    assert open_source(tmp_path, "x", ["BTC", "SOL"]).notes() == [
        "BTC: 96 bars of 1h (x_BTC-USD_1h.csv), no gaps; none after 2024-01-05 00:00 UTC, which leaves its last price",
        "SOL: 192 bars of 1h (x_SOL-USD_1h.csv), no gaps",
    ]


# ---- daily candles


def daily_of(folder: Path) -> SourceData:
    return open_source(folder, "x", ["BTC"])


def test_day_made_of_hours_has_their_extremes_and_volume(tmp_path: Path) -> None:
    rows = [row(number) for number in range(24)]
    rows[0], rows[5] = row(0, "99,110,90,105"), row(5, "100,125,90,105")
    rows[9], rows[23] = row(9, "100,110,80,105"), row(23, "100,110,90,107")
    write(tmp_path / "x_BTC-USD_1h.csv", *rows)
    data = daily_of(tmp_path).coins["BTC"].daily
    assert data.between(0, len(data)) == [Candle(T0, 99.0, 125.0, 80.0, 107.0, 36.0)]  # 24 * 1.5


@pytest.mark.parametrize(("missing", "made"), [(2, 2), (3, 1)])
def test_day_needs_22_of_its_24_hours(tmp_path: Path, missing: int, made: int) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 2, without=range(10, 10 + missing))
    assert len(daily_of(tmp_path).coins["BTC"].daily) == made


def test_daily_file_wins_and_hours_fill_only_what_it_lacks(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 4)
    special = [row(day, "50,60,40,55", length=MS_PER_DAY) for day in (-2, -1, 1)]
    write(tmp_path / "x_BTC-USD_1d.csv", *special)
    data = open_source(tmp_path, "x", ["BTC"], **days(0, 4)).coins["BTC"]
    found = [(candle.open_ms - T0) // MS_PER_DAY for candle in data.daily.between(0, len(data.daily))]
    assert found == [-2, -1, 0, 1, 2, 3]
    assert [candle.close for candle in data.daily.between(0, 6)] == [55, 55, 105, 55, 105, 105]
    assert data.files == ("x_BTC-USD_1h.csv", "x_BTC-USD_1d.csv")
    assert [(file.path.name, len(file.series)) for file in data.read] == [
        ("x_BTC-USD_1h.csv", 4 * 24),
        ("x_BTC-USD_1d.csv", 3),
    ]


def test_execution_on_daily_candles_uses_them_for_decisions_too(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1d.csv", 0, 5)
    found = daily_of(tmp_path)
    assert found.timeframe == "1d"
    assert found.coins["BTC"].daily is found.coins["BTC"].execution
    assert found.coins["BTC"].files == ("x_BTC-USD_1d.csv",)


# ---- the real files

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the repository")


@real
def test_real_binance_years_are_read_on_1h_with_full_daily_history() -> None:
    # 2022-01-01 to 2025-01-01 is 1096 days: 26304 hours, one of which Binance lacks
    found = open_source(DATA, "binance", ["BTC", "ETH", "SOL"], from_ms=1_640_995_200_000, to_ms=1_735_689_600_000)
    assert (found.timeframe, found.missing) == ("1h", {})
    for data in found.coins.values():
        assert data.execution.count_within(found.from_ms, found.to_ms) == 26_303
    assert [len(data.daily) for data in found.coins.values()] == [2_694, 2_694, 1_604]
    assert "1 gap, 1 bar missing and skipped, longest 1 from 2023-03-24 13:00 UTC" in found.notes()[0]


@real
def test_real_binance_from_2018_falls_back_to_4h() -> None:
    found = open_source(DATA, "binance", ["BTC", "ETH", "SOL"], from_ms=1_514_764_800_000)
    assert found.timeframe == "4h"


@real
def test_real_days_made_of_hours_are_those_of_the_daily_file() -> None:
    hours = read_candle_file(DATA / "coinbase_BTC-USD_1h.csv.gz", "1h").series
    daily = read_candle_file(DATA / "coinbase_BTC-USD_1d.csv.gz", "1d").series
    for candle in daily.between(0, len(daily)):
        day = hours.ended_within(candle.open_ms, candle.open_ms + MS_PER_DAY)
        assert candle[1:5] == (day[0].open, max(b.high for b in day), min(b.low for b in day), day[-1].close)
        assert math.isclose(candle.volume, sum(b.volume for b in day), rel_tol=1e-6)


def test_source_beside_csv_files_of_other_names_names_them(tmp_path: Path) -> None:
    write_range(tmp_path, "x_BTC-USD_1h.csv", 0, 2)
    (tmp_path / "mystery_XYZ.csv").write_text("a,b\n")
    (tmp_path / "notes.txt").write_text("not a candle file, and no CSV\n")
    assert open_source(tmp_path, "x", ["BTC"]).notes()[-1] == (
        "ignored: mystery_XYZ.csv; candle files are named like binance_BTC-USDT_1h.csv.gz"
    )


# ---- blocks: rows are taken column by column, and one by one where something is wrong


@pytest.mark.parametrize("lines", [1, 2, 3, 7, 4_096])
def test_rows_are_the_same_however_many_are_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(candle_reader, "_BLOCK_LINES", lines)
    rows = [row(number, f"100,110,90,{91 + number / 8}") for number in range(20) if number not in (6, 13, 14)]
    found = read_candle_file(write(tmp_path / "x_BTC-USD_1h.csv", *rows), "1h")
    there = [number for number in range(20) if number not in (6, 13, 14)]
    assert list(found.series.times) == [T0 + number * HOUR for number in there]
    assert [found.series[place].close for place in (0, 6, 16)] == [91.0, 91.875, 93.375]
    assert [(gap.from_ms, gap.missing) for gap in found.gaps] == [(T0 + 6 * HOUR, 1), (T0 + 13 * HOUR, 2)]


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("1,2,3", "number of columns is 3"),
        ("{time},1,2,0.5,nan,1", "close is 'nan'"),
        ("{before},1,2,0.5,1,1", "is there twice"),
    ],
)
def test_wrong_row_is_named_by_its_line_in_any_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int, wrong: str, words: str
) -> None:
    monkeypatch.setattr(candle_reader, "_BLOCK_LINES", 3)
    rows = [row(number) for number in range(9)]
    rows[place] = wrong.format(time=T0 + place * HOUR, before=T0 + (place - 1) * HOUR)
    if place == 0 and words == "is there twice":
        rows[0], rows[1], place = row(0), row(0), 1
    with pytest.raises(CandleDataError, match=f"line {place + 2}: .*{words}"):
        read_candle_file(write(tmp_path / "x_BTC-USD_1h.csv", *rows), "1h")
