"""`run --replay` as a user runs it: on candle files, good and broken ones."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from program_rig import (
    DAY_MS,
    HOUR_MS,
    Bar,
    assert_fails,
    bot,
    bot_inside,
    candle_text,
    day_ms,
    days_of,
    status,
    walk,
    write_candles,
    write_env,
)

FIRST, DAYS, HOURLY_DAYS = "2022-01-01", 500, 60
FIRST_HOUR = "2023-03-17"
"""2022-01-01 + (500 - 60) days."""
END = "2023-05-16"
PRICES = {"BTC": 40_000.0, "ETH": 3_000.0, "SOL": 100.0}
DRIFTS = (0.3, 1.5, -0.5, 2.0)
MONTH = ("--from", "2023-03-20", "--to", "2023-04-20")
MONTH_HOURS = 32 * 24
"""2023-03-20 to 2023-04-20, both included."""

RESULT_TYPES: dict[str, type] = {
    "mode": str,
    "start_equity": float,
    "end_equity": float,
    "max_drawdown_pct": float,
    "orders": int,
    "trades": int,
    "wins": int,
    "fees_usd": float,
    "tier_history": list,
    "refusals": dict,
    "guards": dict,
    "exposure_pct": float,
    "longest_idle_days": float,
    "candles": int,
    "seconds": float,
}
"""The object as it was promised, in its order."""


def hours_of(coin: str) -> list[Bar]:
    place = list(PRICES).index(coin)
    return walk(seed=10 + place, first_ms=day_ms(FIRST), hours=DAYS * 24, price=PRICES[coin], drifts=DRIFTS)


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three coins: 500 days of daily candles, the last 60 also hourly."""
    folder = tmp_path_factory.mktemp("candles")
    for coin in PRICES:
        hours = hours_of(coin)
        write_candles(folder, f"binance_{coin}-USDT_1d.csv", days_of(hours))
        write_candles(folder, f"binance_{coin}-USDT_1h.csv", hours[-24 * HOURLY_DAYS :])
    return folder


@pytest.fixture
def own_candles(candles: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(candles, tmp_path / "candles"))


def replay(folder: Path, candles: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    """The result object; stdout holds nothing else."""
    done = bot(folder, "run", "--replay", str(candles), "--json", *arguments, **variables)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# ---- what comes out


def test_replay_json_is_the_promised_object(tmp_path: Path, candles: Path) -> None:
    result = replay(tmp_path, candles, *MONTH, "--equity", "260")
    assert {name: type(value) for name, value in result.items()} == RESULT_TYPES
    assert list(result) == list(RESULT_TYPES)
    assert result["mode"] == "REPLAY"
    assert result["start_equity"] == 260.0
    assert result["candles"] == 3 * MONTH_HOURS
    assert result["orders"] > 0
    assert 0 <= result["wins"] <= result["trades"] <= result["orders"]
    assert 0 <= result["max_drawdown_pct"] < 12
    assert 0 < result["exposure_pct"] <= 54  # at most three coins of at most 18 % each
    assert 0 < result["longest_idle_days"] <= 32
    assert result["fees_usd"] > 0
    assert all(type(count) is int and count > 0 for count in (*result["refusals"].values(), *result["guards"].values()))
    assert [set(change) for change in result["tier_history"]] == [
        {"timestamp", "from_tier", "to_tier", "equity", "direction"}
    ]


def test_replay_twice_gives_the_same_but_for_the_seconds(tmp_path: Path, candles: Path) -> None:
    one, other = (replay(tmp_path, candles, *MONTH) for _ in range(2))
    assert one.pop("seconds") > 0
    assert other.pop("seconds") > 0
    assert one == other
    assert one["orders"] > 0


def test_replay_without_json_reports_in_words(tmp_path: Path, candles: Path) -> None:
    done = bot(tmp_path, "run", "--replay", str(candles), *MONTH, "--equity", "260")
    assert done.returncode == 0
    for words in (
        "REPLAY of binance candles (1h)",
        "Equity          $260.00 -> $",
        "Worst drawdown",
        "UNRANKED -> GROWTH",
    ):
        assert words in done.stdout
    assert f"Replayed        {3 * MONTH_HOURS} candles" in done.stdout
    assert done.stderr.splitlines() == [
        f"{coin}: {MONTH_HOURS} bars of 1h (binance_{coin}-USDT_1h.csv, binance_{coin}-USDT_1d.csv), no gaps"
        for coin in PRICES
    ]
    document = status(tmp_path)
    assert document["mode"] == "REPLAY"
    assert document["snapshot"]["at"] == "2023-04-21T00:00:00+00:00"  # the end of the last bar


def test_replay_whole_daily_history_climbs_from_starter_to_growth(tmp_path: Path, candles: Path) -> None:
    result = replay(tmp_path, candles, "--timeframe", "1d", "--equity", "249")
    assert result["start_equity"] == 249.0
    assert result["candles"] == 3 * DAYS
    steps = [(change["from_tier"], change["to_tier"], change["direction"]) for change in result["tier_history"]]
    assert steps == [(None, "STARTER", "up"), ("STARTER", "GROWTH", "up")]
    first, second = result["tier_history"]
    assert (first["timestamp"], first["equity"]) == ("2022-01-01T00:01:00+00:00", 249.0)
    assert second["timestamp"] > first["timestamp"]
    assert second["equity"] >= 250
    assert result["refusals"]["history_too_short"] > 0  # nothing lies before the first candle


def test_replay_warm_up_is_what_lies_before_from(tmp_path: Path, candles: Path) -> None:
    result = replay(tmp_path, candles, "--timeframe", "1d", *MONTH)
    assert result["candles"] == 3 * 32
    assert "history_too_short" not in result["refusals"]


def test_replay_from_the_middle_of_a_bar_begins_with_the_next_one(tmp_path: Path, candles: Path) -> None:
    # 05:30 must not put every cycle half an hour after each price: then all prices were too old to trade at
    half, whole = (replay(tmp_path, candles, "--from", f"2023-03-20T{t}", *MONTH[2:]) for t in ("05:30", "06:00"))
    assert half.pop("seconds") > 0
    assert whole.pop("seconds") > 0
    assert half == whole
    assert "stale_data" not in half["refusals"]


def test_replay_equity_is_paper_equity_unless_given(tmp_path: Path, candles: Path) -> None:
    day = ("--from", "2023-04-01", "--to", "2023-04-01")
    assert replay(tmp_path, candles, *day)["start_equity"] == 100.0
    assert replay(tmp_path, candles, *day, PAPER_EQUITY="77.77")["start_equity"] == 77.77
    write_env(tmp_path, "PAPER_EQUITY=500")
    assert replay(tmp_path, candles, *day)["start_equity"] == 500.0
    assert replay(tmp_path, candles, *day, "--equity", "$1,000.50")["start_equity"] == 1000.5


@pytest.mark.parametrize(
    ("venues", "equity", "cash"),
    [
        ("kraken", "260", {"kraken": 260.0}),
        # halves of 130 are at least twice the minimum balances of 10 and 50
        ("coinbase,kraken", "260", {"coinbase": 130.0, "kraken": 130.0}),
        # a half of 99.99 is less than twice Kraken's 50: all of it goes to the first
        ("kraken,coinbase", "199.98", {"kraken": 199.98, "coinbase": 0.0}),
    ],
)
def test_replay_venues_get_their_parts(
    tmp_path: Path, candles: Path, venues: str, equity: str, cash: dict[str, float]
) -> None:
    # on the first day before any fill: one cycle, whose entries only rest
    result = replay(tmp_path, candles, *MONTH, "--venues", venues, "--equity", equity, "--once")
    assert result["start_equity"] == float(equity)
    found = {venue["account"]: venue["cash_usd"] for venue in status(tmp_path)["snapshot"]["venues"]}
    assert found == cash


def test_replay_cycles_ends_after_so_many_bars(tmp_path: Path, candles: Path) -> None:
    assert replay(tmp_path, candles, *MONTH, "--cycles", "5")["candles"] == 3 * 5


def test_replay_replaces_the_last_one_and_leaves_other_accounts_alone(tmp_path: Path, candles: Path) -> None:
    assert bot(tmp_path, "run", "--cycles", "3", "--interval", "0").returncode == 0
    ledger = tmp_path / "simulated" / "ledger.sqlite3"
    before = ledger.read_bytes()
    one = replay(tmp_path, candles, *MONTH, "--equity", "300")
    other = replay(tmp_path, candles, *MONTH, "--equity", "30")
    assert (one["start_equity"], other["start_equity"]) == (300.0, 30.0)
    assert [change["to_tier"] for change in other["tier_history"]] == ["STARTER"]
    assert ledger.read_bytes() == before


def test_replay_below_activation_says_why_nothing_happens(tmp_path: Path, candles: Path) -> None:
    result = replay(tmp_path, candles, *MONTH, "--equity", "12")
    assert (result["orders"], result["end_equity"], result["tier_history"]) == (0, 12.0, [])
    assert result["refusals"]["below_activation"] > 0
    assert result["guards"] == {"activation": 1, "venue_minimum": 1}  # Kraken's share is below its minimum too


# ---- other files


def test_replay_gaps_are_told_and_skipped(tmp_path: Path, own_candles: Path) -> None:
    hours = hours_of("BTC")[-24 * HOURLY_DAYS :]
    del hours[200:205], hours[300:301]  # in the range: 2023-03-25 and 2023-03-29
    write_candles(own_candles, "binance_BTC-USDT_1h.csv", hours)
    done = bot(tmp_path, "run", "--replay", str(own_candles), *MONTH, "--json")
    assert done.returncode == 0, done.stderr
    assert (
        f"BTC: {MONTH_HOURS - 6} bars of 1h (binance_BTC-USDT_1h.csv, binance_BTC-USDT_1d.csv), "
        "2 gaps, 6 bars missing and skipped, longest 5 from 2023-03-25 08:00 UTC"
    ) in done.stderr
    assert json.loads(done.stdout)["candles"] == 3 * MONTH_HOURS - 6


def test_replay_compressed_files_give_what_plain_ones_give(tmp_path: Path, own_candles: Path) -> None:
    plain = replay(tmp_path, own_candles, *MONTH)
    for path in own_candles.glob("*.csv"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = replay(tmp_path, own_candles, *MONTH)
    assert plain.pop("seconds") > 0
    assert packed.pop("seconds") > 0
    assert packed == plain


def test_replay_missing_coin_is_told_and_the_others_run(tmp_path: Path, own_candles: Path) -> None:
    for path in own_candles.glob("*SOL*"):
        path.unlink()
    done = bot(tmp_path, "run", "--replay", str(own_candles), *MONTH, "--json")
    assert done.returncode == 0
    assert "SOL: not replayed, no binance file against USD, USDT, USDC" in done.stderr
    assert json.loads(done.stdout)["candles"] == 2 * MONTH_HOURS


# ---- what is refused

T0 = day_ms(FIRST_HOUR)
GOOD: list[Bar] = [(T0 + hour * HOUR_MS, 10.0, 12.0, 9.0, 11.0, 1.0) for hour in range(48)]
FILE = "binance_BTC-USDT_1h.csv"


def broken(line: str) -> bytes:
    """Two good rows, then this as line 4 of the file."""
    return (candle_text(GOOD[:2]) + line + "\n").encode()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (broken(f"{T0 + HOUR_MS},10,12,9,11,1"), (FILE, "line 4", "there twice", "2023-03-17 01:00 UTC")),
        (broken(f"{T0 + 2 * HOUR_MS},10,9.5,9,11,1"), (FILE, "line 4", "high 9.5", "must be the highest")),
        (broken(f"{T0 + 2 * HOUR_MS},10,12,9,nan,1"), (FILE, "line 4", "close is 'nan'", "finite number")),
        (broken(f"{T0 // 1000 + 7200},10,12,9,11,1"), (FILE, "line 4", "milliseconds")),
        (broken("<html>"), (FILE, "line 4", "number of columns is 1, needed are 6")),
        (b"", (FILE, "the file is empty", "timestamp,open,high,low,close,volume")),
        (b"time,o,h,l,c,v\n", (FILE, "line 1", "header")),
        (candle_text(GOOD).encode()[:-2], (FILE, "line 49", "cut off")),
    ],
)
def test_replay_broken_file_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, parts: tuple[str, ...]
) -> None:
    (tmp_path / FILE).write_bytes(content)
    done = bot_inside(monkeypatch, tmp_path, "run", "--replay", ".", "--json")
    assert_fails(done, 1, *parts)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("damage", [slice(0, 400), slice(30, None)])
def test_replay_broken_gzip_is_named(tmp_path: Path, damage: slice) -> None:
    packed = gzip.compress(
        candle_text([(T0 + n * HOUR_MS, 9 + n / 7, 99.0, 1.0, 10.0, n) for n in range(500)]).encode()
    )
    (tmp_path / f"{FILE}.gz").write_bytes(packed[damage])
    assert_fails(bot(tmp_path, "run", "--replay", "."), 1, f"{FILE}.gz", "broken gzip", "again")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--from", "2023-04-20", "--to", "2023-03-20"), ("--from 2023-04-20", "before --to 2023-03-20")),
        (
            ("--from", "2021-12-01"),
            ("2021-12-01", "1d from 2022-01-01 00:00 UTC to 2023-05-16", "1h from 2023-03-17"),
        ),
        (("--to", "2024-01-01"), ("to 2024-01-02", "to 2023-05-16 00:00 UTC")),
        (("--to", "9999-12-31"), ("--to '9999-12-31'", "a date such as")),
        (("--from", "0001-01-01T00:00+05:00"), ("--from '0001-01-01T00:00+05:00'", "a date such as")),
        (("--from", "yesterday"), ("--from 'yesterday'", "a date such as")),
        (("--equity", "abc"), ("--equity 'abc'", "dollars from 1 to 1000000")),
        (("--equity", "-5"), ("--equity '-5'", "dollars from 1 to 1000000")),
        (("--equity", "nan"), ("--equity 'nan'", "dollars from 1 to 1000000")),
        (("--equity", "1e9"), ("--equity '1e9'", "dollars from 1 to 1000000")),
        (("--venues", "binance"), ("--venues 'binance'", "coinbase, kraken")),
        (("--source", "bitmex"), ("source 'bitmex'", "files of binance")),
        (("--timeframe", "5m"), ("timeframe '5m'", "1h, 1d")),
        (("--seed", "3"), ("--seed: not for --replay",)),
        (("--interval", "1"), ("--interval: not for --replay",)),
        (("--live",), ("--live and --replay: one mode at a time",)),
        (("--simulated",), ("--simulated and --replay: one mode at a time",)),
    ],
)
def test_replay_wrong_option_is_named_with_what_is_allowed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    candles: Path,
    arguments: tuple[str, ...],
    parts: tuple[str, ...],
) -> None:
    done = bot_inside(monkeypatch, tmp_path, "run", "--replay", str(candles), *arguments)
    assert_fails(done, 2 if "--replay" in parts[0] else 78, *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--json",), ("--json: not for a run without --replay",)),
        (("--source", "kraken"), ("--source: not for a run without --replay",)),
        (("--from", "2023-01-01", "--equity", "5"), ("--from, --equity: not for a run without --replay",)),
        (("--interval", "nan"), ("--interval", "nan is not a number of seconds")),
        (("--interval", "-1"), ("--interval", "0.0<=x<=3600.0")),
        (("--cycles", "0"), ("--cycles", "x>=1")),
    ],
)
def test_run_option_that_does_not_fit_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_fails(bot_inside(monkeypatch, tmp_path, "run", *arguments), 2, *parts)
    assert list(tmp_path.iterdir()) == []


def test_replay_error_looks_the_same_from_outside(tmp_path: Path, candles: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    assert_fails(bot(tmp_path, "run", "--replay", ".", "--json"), 1, FILE, "the file is empty")
    (tmp_path / FILE).unlink()
    assert_fails(bot(tmp_path, "run", "--replay", str(candles), "--equity", "abc"), 78, "--equity 'abc'")
    assert_fails(bot(tmp_path, "run", "--replay", str(candles), "--seed", "3"), 2, "--seed: not for --replay")
    assert list(tmp_path.iterdir()) == []


def test_replay_folder_without_candles_says_how_files_are_named(tmp_path: Path) -> None:
    assert_fails(bot(tmp_path, "run", "--replay", "."), 78, "no candle files", "binance_BTC-USDT_1h.csv.gz")
    assert_fails(bot(tmp_path, "run", "--replay", "nowhere"), 78, "nowhere", "does not exist")


def test_replay_same_candles_twice_in_the_folder_are_refused(tmp_path: Path) -> None:
    write_candles(tmp_path, FILE, GOOD)
    (tmp_path / f"{FILE}.gz").write_bytes(gzip.compress(candle_text(GOOD).encode()))
    assert_fails(bot(tmp_path, "run", "--replay", "."), 78, FILE, f"{FILE}.gz", "remove one")


def test_generator_makes_the_days_of_its_hours() -> None:
    # the other tests stand on it: 500 days end on 2023-05-16, and the bars hold what a bar must hold
    hours = hours_of("BTC")
    days = days_of(hours)
    assert (len(days), days[-1][0]) == (DAYS, day_ms(END) - DAY_MS)
    assert hours[-24 * HOURLY_DAYS][0] == day_ms(FIRST_HOUR)
    assert all(low <= min(opened, close) and high >= max(opened, close) for _, opened, high, low, close, _ in days)
