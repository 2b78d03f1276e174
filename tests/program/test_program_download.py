"""`download` as a user runs it: the whole program before local venues, ended and broken in every way."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from live_rig import (
    CLOCK,
    COINBASE_MARKETS,
    HTML_OK,
    KRAKEN_MARKETS,
    Exchanges,
    Fault,
    FaultKind,
    Reply,
    noon_exchanges,
)
from paper_rig import private_requests
from program_rig import (
    DAY_MS,
    HOUR_MS,
    Running,
    assert_fails,
    bot,
    bot_inside,
    running,
    write_env,
)
from terminal_rig import terminal

from bot.domain.market import Candle
from bot.storage.candle_reader import read_candle_file
from bot.storage.lock import ModeLock

DAYS = 2_557
"""Seven years; nine pages of 300."""
BTC_FILE = "coinbase_BTC-USD_1d.csv"
HANG = Fault(FaultKind.HANG)
SHORT_WAITS = {"PYTHONPATH": str(CLOCK), "TESTS_WAIT_MAX_S": "0.25"}


def candle(open_ms: int, number: int) -> Candle:
    return Candle(open_ms, 100.5 + number, 103.25 + number, 98.125 + number, 101.0 + number, 0.125 * number)


def history(end_ms: int, count: int, length_ms: int = DAY_MS) -> list[Candle]:
    return [candle(end_ms - (count - number) * length_ms, number) for number in range(count)]


def midnight(site: Exchanges) -> int:
    """When the present day of the venues began."""
    return int(site.now.timestamp() * 1000) // DAY_MS * DAY_MS


def longer_history(site: Exchanges) -> list[Candle]:
    """Three days more than are asked for by default."""
    return history(midnight(site), DAYS + 3)


def seven_years(site: Exchanges) -> list[Candle]:
    return longer_history(site)[3:]


@pytest.fixture
def site() -> Iterator[Exchanges]:
    """Both venues at noon, Coinbase with seven years of days."""
    with noon_exchanges() as both:
        for market in COINBASE_MARKETS.values():
            both.coinbase.set_candles(market, "1d", longer_history(both))
        yield both


@pytest.fixture
def folder(tmp_path: Path, site: Exchanges) -> Path:
    write_env(
        tmp_path,
        f"COINBASE_API_URL={site.coinbase_server.url}",
        f"KRAKEN_API_URL={site.kraken_server.url}",
    )
    return tmp_path


def run(folder: Path, site: Exchanges, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own; its clock is a day behind the venues', which decides what has closed."""
    return bot(folder, "download", *arguments, **addresses(site), **more)


def addresses(site: Exchanges) -> dict[str, str]:
    return {"COINBASE_API_URL": site.coinbase_server.url, "KRAKEN_API_URL": site.kraken_server.url}


def date_of(bar: Candle) -> str:
    return f"{datetime.fromtimestamp(bar.open_ms / 1000, UTC):%Y-%m-%d}"


class Inside:
    """The program in this process, which sees only .env."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._folder = folder

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # A variable of the environment would win over .env; the rig sets both to nowhere.
        env = (self._folder / ".env").read_text(encoding="utf-8").split()
        settings = [word for line in env for word in ("--set", line)]
        return bot_inside(self._monkeypatch, self._folder, *settings, "download", *arguments)

    def document(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self(*arguments, "--json")
        assert done.returncode == code, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Inside:
    return Inside(monkeypatch, folder)


def stored(folder: Path, name: str = BTC_FILE) -> list[Candle]:
    series = read_candle_file(folder / "candles" / name, name.rpartition("_")[2].removesuffix(".csv")).series
    return series.between(0, len(series))


def pages(site: Exchanges, since: int = 0) -> list[tuple[str, str, int]]:
    """Market, timeframe and first bar of every page that was asked for."""
    with site.coinbase_server.locked():
        asked = [entry.request for entry in site.coinbase_server.log if entry.request.path.endswith("/candles")][since:]
    queries = [(request.path.split("/")[-2], parse_qs(request.query)) for request in asked]
    return [(name, query["granularity"][0], int(query["start"][0]) * 1000) for name, query in queries]


def answer(body: object) -> Fault:
    return Fault(FaultKind.REPLY, Reply(200, json.dumps(body).encode()))


# ---- what arrives


def test_first_download_is_seven_years_and_the_next_one_fetches_what_is_new(folder: Path, site: Exchanges) -> None:
    done = run(folder, site)
    assert (done.returncode, done.stdout.count("\n")) == (0, 3), done.stderr
    assert done.stdout.startswith(f"BTC: 2,557 candles of 1d in {BTC_FILE}, ")
    assert "(2,557 new, 9 pages); no gaps\n" in done.stdout
    assert "into candles" in done.stderr
    for coin in COINBASE_MARKETS:
        assert stored(folder, f"coinbase_{coin}-USD_1d.csv") == seven_years(site)
    assert (len(pages(site)), private_requests(site)) == (27, [])

    tested = bot(folder, "backtest", "candles", "--source", "coinbase", "--equity", "250")
    assert tested.returncode == 0, tested.stderr
    assert "BTC: 2557 bars of 1d" in tested.stderr

    assert "(0 new, 0 pages); no gaps" in run(folder, site, "BTC").stdout
    assert len(pages(site)) == 27
    site.next_day(BTC=2_295.0)
    again = run(folder, site, "btc")
    assert (again.returncode, "2,558 candles" in again.stdout, "(1 new, 1 page)" in again.stdout) == (0, True, True)
    assert pages(site, 27) == [("BTC-USD", "ONE_DAY", midnight(site) - DAY_MS)]
    assert stored(folder)[-1].close == 2_295.0


def test_range_is_extended_at_both_ends_without_a_hole(inside: Inside, folder: Path, site: Exchanges) -> None:
    whole = longer_history(site)

    def day(back: int) -> str:
        return date_of(whole[-back])

    assert inside("BTC", "--from", day(800), "--to", day(701)).returncode == 0
    assert stored(folder) == whole[-800:-700]
    found = inside.document("BTC", "--from", day(1_500), "--to", day(1_200))
    assert stored(folder) == whole[-1_500:-700]
    assert found["coins"][0] | {"first": "", "last": ""} == {
        "coin": "BTC",
        "file": BTC_FILE,
        "complete": True,
        "problem": "",
        "pages": 3,  # 700 days
        "new_candles": 700,
        "candles": 800,
        "first": "",
        "last": "",
        "missing": 0,
        "gaps": [],
    }
    assert inside.document("BTC", "--from", day(10))["coins"][0]["new_candles"] == 700
    assert stored(folder) == whole[-1_500:]
    assert sorted(path.name for path in (folder / "candles").iterdir()) == [".download.lock", BTC_FILE]


def test_gaps_are_counted_told_and_never_filled(inside: Inside, folder: Path, site: Exchanges) -> None:
    end = midnight(site)
    lacking = {3, 10, 11, 12, 40, 50, *range(100, 780)}
    whole = [bar for back, bar in enumerate(reversed(history(end, 900)), start=1) if back not in lacking][::-1]
    site.coinbase.set_candles("BTC-USD", "1d", whole)
    done = inside("BTC")
    assert done.returncode == 0, done.stderr
    assert "5 gaps, 686 candles missing: " in done.stdout
    assert " (680), " in done.stdout
    assert done.stdout.count(" to ") == 4  # the file's, and three gaps'
    assert " and 2 more; nothing older at coinbase" in done.stdout
    assert stored(folder) == whole
    found = inside.document("BTC")["coins"][0]
    assert (found["missing"], [gap["missing"] for gap in found["gaps"]]) == (686, [680, 1, 1, 3, 1])
    assert (found["gaps"][0]["from"], found["pages"]) == (
        datetime.fromtimestamp((end - 779 * DAY_MS) / 1000, UTC).isoformat(),
        6,  # what lies before the first candle: nothing there
    )
    shorter = inside.document("BTC", "--from", found["gaps"][-1]["from"])["coins"][0]
    assert [gap["missing"] for gap in shorter["gaps"]] == [1]


def test_empty_page_in_the_middle_is_asked_for_again_before_it_is_a_gap(
    inside: Inside, folder: Path, site: Exchanges
) -> None:
    site.coinbase_server.inject("*/candles", answer({"candles": []}), skip=3)
    found = inside.document("BTC")["coins"][0]
    assert (found["pages"], found["candles"], found["gaps"]) == (10, DAYS, [])


def test_hourly_candles_begin_with_the_market_and_end_with_the_last_closed_hour(
    inside: Inside, folder: Path, site: Exchanges
) -> None:
    end = midnight(site)
    days = history(end, 250)
    site.coinbase.set_candles("BTC-USD", "1d", days)
    hours = history(end + 12 * HOUR_MS, 250 * 24 + 12, HOUR_MS)
    site.coinbase.set_candles("BTC-USD", "1h", hours)
    done = inside("BTC", "--timeframe", "1h")
    assert done.returncode == 0, done.stderr
    assert stored(folder, "coinbase_BTC-USD_1h.csv") == hours
    asked = pages(site)
    assert [timeframe for _, timeframe, _ in asked] == ["ONE_DAY"] * 8 + ["ONE_HOUR"] * 21
    assert "(6,012 new, 29 pages); no gaps; nothing older at coinbase" in done.stdout
    # A few lines where nobody watches.
    assert 5 <= done.stderr.count("BTC: ") <= 12
    assert "of 29 pages, at " in done.stderr


def test_kraken_gives_its_newest_720_and_says_so(inside: Inside, folder: Path, site: Exchanges) -> None:
    end = midnight(site)
    for timeframe, length in (("1d", DAY_MS), ("1h", HOUR_MS)):
        now_ms = end + 12 * HOUR_MS if timeframe == "1h" else end
        whole = history(now_ms, 900, length)
        for market in KRAKEN_MARKETS.values():
            site.kraken.set_candles(market, timeframe, whole)
        done = inside("--venue", "kraken", "--timeframe", timeframe)
        assert done.returncode == 0, done.stderr
        assert "NOTE: kraken serves only its newest 720 candles of a timeframe, whatever is asked" in done.stderr
        assert "--venue coinbase has longer histories" in done.stderr
        # 719 and the one that is still forming.
        assert stored(folder, f"kraken_BTC-USD_{timeframe}.csv") == whole[-719:]
        assert done.stdout.count("719 candles") == 3
    short = inside("--venue", "kraken", "--from", f"{site.now - timedelta(days=3):%Y-%m-%d}")
    assert (short.returncode, "NOTE" in short.stderr) == (0, False)
    assert_fails(inside("--venue", "kraken", "--to", "2020-01-01"), 78, "no closed candle", "newest 720 candles")


def test_kraken_file_that_the_venue_cannot_continue_any_more_has_a_gap(
    inside: Inside, folder: Path, site: Exchanges
) -> None:
    end = midnight(site)
    whole = history(end, 900)
    site.kraken.set_candles("XXBTZUSD", "1d", whole)
    (folder / "candles").mkdir()
    rows = "".join(f"{','.join(map(str, bar))}\n" for bar in whole[:50])
    path = folder / "candles" / "kraken_BTC-USD_1d.csv"
    path.write_text(f"timestamp,open,high,low,close,volume\n{rows}", encoding="utf-8")
    assert inside("BTC", "--venue", "kraken").returncode == 0
    assert stored(folder, path.name) == [*whole[:50], *whole[-719:]]


# ---- what ends it


def downloading(folder: Path, site: Exchanges, *arguments: str) -> Any:
    return running(folder, "download", *arguments, **addresses(site))


def hung(program: Running, site: Exchanges) -> None:
    """Wait until the program waits for an answer that does not come."""
    site.coinbase_server.wait_for_faults()
    assert program.process.poll() is None, program.err


def test_killed_on_a_page_it_goes_on_with_that_page(folder: Path, site: Exchanges) -> None:
    site.coinbase_server.inject("*/BTC-USD/candles", HANG, skip=3)
    with downloading(folder, site, "BTC") as program:
        hung(program, site)
        assert stored(folder) == seven_years(site)[:900]
    before = len(pages(site))
    done = run(folder, site, "BTC")
    assert "(1,657 new, 6 pages); no gaps" in done.stdout, done.stderr
    assert pages(site, before)[0][2] == stored(folder)[900].open_ms
    assert stored(folder) == seven_years(site)


@pytest.mark.parametrize("how", ["while it is fetched", "while it is joined"])
def test_killed_while_older_candles_are_fetched_it_goes_on(
    inside: Inside, folder: Path, site: Exchanges, how: str
) -> None:
    assert inside("BTC", "--from", f"{site.now.year - 1}-06-01").returncode == 0
    newer = stored(folder)
    if how == "while it is fetched":
        site.coinbase_server.inject("*/candles", HANG, skip=2)
        with downloading(folder, site, "BTC") as program:
            hung(program, site)
        fetched = 600
    else:
        # Replaced are two copies of the markets, the beginning of the older file, and the joined one.
        died = run(folder, site, "BTC", PYTHONPATH=str(CLOCK), TESTS_DIES_AT_WRITE="3")
        assert died.returncode == -signal.SIGKILL
        fetched = DAYS - len(newer)
    assert stored(folder) == newer  # nothing half-written is read
    assert (folder / "candles" / f"{BTC_FILE}.earlier").exists()
    found = inside.document("BTC")["coins"][0]
    assert (found["candles"], found["new_candles"]) == (DAYS, DAYS - len(newer) - fetched)
    assert stored(folder) == seven_years(site)


def test_venue_that_fails_on_the_third_page_ends_the_coin_and_keeps_two(folder: Path, site: Exchanges) -> None:
    down = Fault(FaultKind.REPLY, Reply(503, b"down", "text/plain"))
    site.coinbase_server.inject("*/ETH-USD/candles", down, skip=2, count=3)
    done = run(folder, site, **SHORT_WAITS)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1].startswith("ETH: 600 candles of 1d in coinbase_ETH-USD_1d.csv, ")
    assert done.stdout.splitlines()[1].endswith("(600 new, 2 pages); no gaps; NOT COMPLETE")
    assert done.stdout.count("2,557 candles") == 2
    assert "Error: not complete: what has arrived is stored" in done.stderr
    assert "ETH: coinbase: candles of ETH/USD: ExchangeNotAvailable" in done.stderr
    assert "Traceback" not in done.stderr
    assert stored(folder, "coinbase_ETH-USD_1d.csv") == seven_years(site)[:600]


def test_failures_of_the_moment_and_complaints_about_the_rate_are_waited_out(folder: Path, site: Exchanges) -> None:
    for status in (503, 429):
        site.coinbase_server.inject("*/candles", Fault(FaultKind.REPLY, Reply(status, b"no", "text/plain")), skip=2)
    done = run(folder, site, "BTC", **SHORT_WAITS)
    assert (done.returncode, "2,557 new, 9 pages" in done.stdout) == (0, True), done.stderr
    assert len(pages(site)) == 11


ROW = {"start": "", "low": "98", "high": "103", "open": "100", "close": "101", "volume": "5"}
NO_CANDLES = {
    "a price that is none": ROW | {"close": "null"},
    "a high below the low": ROW | {"high": "97"},
    "a price of nothing": ROW | {"low": "0"},
    "off the grid": ROW | {"start": "+1"},
    "no time": ROW | {"start": "soon"},
    "half a row": {"start": "+0", "low": "98"},
}


@pytest.mark.parametrize("row", NO_CANDLES.values(), ids=NO_CANDLES.keys())
def test_answer_that_is_no_candle_ends_the_coin(
    inside: Inside, folder: Path, site: Exchanges, row: dict[str, str]
) -> None:
    third = seven_years(site)[600].open_ms // 1000
    start = row["start"]
    told = row | {"start": start if start == "soon" else str(third + int(start or "0"))}
    site.coinbase_server.inject("*/candles", answer({"candles": [told]}), skip=2)
    found = inside.document("BTC", code=1)["coins"][0]
    assert (found["complete"], found["candles"], found["pages"] in (2, 3)) == (False, 600, True)
    assert "BTC" in found["problem"]
    assert stored(folder) == seven_years(site)[:600]


@pytest.mark.parametrize("fault", [HTML_OK, answer({}), answer([]), answer(None), answer({"candles": None})])
def test_answer_that_is_no_list_ends_the_coin(inside: Inside, folder: Path, site: Exchanges, fault: Fault) -> None:
    site.coinbase_server.inject("*/candles", fault, skip=1, count=3)
    done = inside("BTC")
    assert (done.returncode, done.stdout.endswith("NOT COMPLETE\n"), "Traceback" in done.stderr) == (1, True, False)
    assert "BTC: coinbase: candles of BTC/USD: " in done.stderr
    assert len(stored(folder)) == 300


def test_page_told_twice_ends_the_coin_and_is_no_gap(inside: Inside, folder: Path, site: Exchanges) -> None:
    whole = seven_years(site)
    assert inside("BTC", "--from", date_of(whole[0]), "--to", date_of(whole[99])).returncode == 0
    assert stored(folder) == whole[:100]
    with site.coinbase_server.locked():
        entries = [entry for entry in site.coinbase_server.log if entry.request.path.endswith("/candles")]
    told = entries[-1].reply
    assert told is not None
    site.coinbase_server.inject("*/candles", Fault(FaultKind.REPLY, told), count=1_000)
    done = inside("BTC", "--from", date_of(whole[0]))
    # A page goes beyond the range: told again it is good for its rest, and then for nothing.
    assert (done.returncode, stored(folder)) == (1, whole[:300])
    assert "the answer has older ones than were asked for" in done.stderr
    assert site.coinbase_server.faults_left() == 998


def test_damaged_file_is_refused_by_its_line_and_left_alone(inside: Inside, folder: Path, site: Exchanges) -> None:
    assert inside("BTC", "ETH", "--from", f"{site.now.year - 1}-06-01").returncode == 0
    path = folder / "candles" / BTC_FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[6] = lines[6].replace(",", ";", 1)
    path.write_text("".join(lines), encoding="utf-8")
    before = len(pages(site))
    done = inside("BTC", "ETH")
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "BTC: NOT COMPLETE")
    assert f"BTC: {BTC_FILE}, line 7: number of columns is 5" in done.stderr
    assert "it is left as it is" in done.stderr
    assert path.read_text(encoding="utf-8") == "".join(lines)
    assert {market for market, _, _ in pages(site, before)} == {"ETH-USD"}
    assert len(stored(folder, "coinbase_ETH-USD_1d.csv")) == DAYS


def test_second_download_into_a_folder_is_refused(inside: Inside, folder: Path, site: Exchanges) -> None:
    site.coinbase_server.inject("*/candles", HANG, skip=1)
    with downloading(folder, site, "BTC") as program:
        hung(program, site)
        other = inside("BTC")
        assert_fails(other, 1, f"another process (pid {program.process.pid}, running since", "download) holds")
        assert inside("BTC", "--folder", "elsewhere").returncode == 0
        assert len(stored(folder)) == 300
    with ModeLock(folder, now=site.now, command="run"):  # a bot's, which is not in the way
        assert inside("BTC").returncode == 0
        assert inside("BTC", "--folder", ".").returncode == 0
    assert (folder / "elsewhere" / BTC_FILE).read_bytes() == (folder / "candles" / BTC_FILE).read_bytes()


def test_interrupted_it_ends_with_130_and_says_what_is_stored(folder: Path, site: Exchanges) -> None:
    site.coinbase_server.inject("*/ETH-USD/candles", HANG, skip=2)
    with downloading(folder, site) as program:
        hung(program, site)
        program.signal(signal.SIGINT)
        assert program.wait() == 130
        lines = program.out.splitlines()
        assert [line[:5] for line in lines] == ["BTC: ", "ETH: "]
        assert lines[1].startswith("ETH: 600 candles of 1d in coinbase_ETH-USD_1d.csv")
        assert lines[1].endswith("NOT COMPLETE")
        assert "Interrupted: what has arrived is stored, and the same command goes on from there." in program.err
        assert "Traceback" not in program.err


def test_terminal_shows_one_line_that_is_written_anew(folder: Path, site: Exchanges) -> None:
    with terminal(folder, "download", "BTC", size=(24, 45), variables=addresses(site)) as screen:
        assert screen.end() == 0
    progress, _, rest = screen.text.partition("BTC: 2,557 candles")
    assert progress.count("\rBTC: ") == 9
    assert "\rBTC: 8 of 9 pages, at " in progress
    assert {len(line) for line in progress.split("\r") if line.startswith("BTC: ")} == {44}
    assert progress.count("\n") == 1  # where it goes
    assert progress.endswith(f"\r{' ' * 44}\r")
    assert "\r" not in rest.replace("\r\n", "")


# ---- what is wrong at once


def test_mistakes_are_named_before_a_candle_is_asked_for(inside: Inside, folder: Path, site: Exchanges) -> None:
    (folder / "file").touch()
    for arguments, code, words in (
        (("DOGE",), 2, ("DOGE", "btc")),
        (("--venue", "binance"), 2, ("binance", "coinbase")),
        (("--timeframe", "3m"), 2, ("3m", "15m")),
        (("--timeframe", "4h"), 78, ("--timeframe 4h: coinbase serves 1m, 5m, 15m, 30m, 1h, 2h, 6h, 1d",)),
        (("--venue", "kraken", "--timeframe", "2h"), 78, ("kraken serves 1m, 5m, 15m, 30m, 1h, 4h, 1d",)),
        (("--from", "2022-13-01"), 78, ("--from", "2022-13-01", "must be a date")),
        (("--from", "2022-02-02", "--to", "2022-02-01"), 78, ("--from 2022-02-02 must be before --to",)),
        (("--from", "2090-01-01"), 78, ("there is no closed candle in this range", "the last closed candle of 1d")),
        (("--to", "1990-01-01"), 78, ("there is no closed candle",)),
        (("--folder", "file"), 78, ("--folder file: is a file",)),
    ):
        assert_fails(inside(*arguments), code, *words)
    assert pages(site) == []


def test_venue_that_is_not_there_is_an_error_without_a_file(folder: Path) -> None:
    done = bot(folder, "download", **SHORT_WAITS)
    assert_fails(done, 1, "coinbase: ", "NetworkError", "Is this machine online?")
    assert [path.name for path in (folder / "candles").iterdir()] == [".download.lock"]


def test_market_that_is_not_listed_is_said(inside: Inside, folder: Path, site: Exchanges) -> None:
    with site.coinbase_server.locked():
        for name in ("SOL-USD", "SOL-USDC"):
            site.coinbase_core.products.pop(name, None)
    done = inside("SOL")
    assert (done.returncode, done.stdout) == (1, "SOL: NOT COMPLETE\n")
    assert "SOL: coinbase lists no market of SOL in USD or USDC" in done.stderr


def test_setting_that_is_wrong_is_told_first(folder: Path) -> None:
    assert_fails(bot(folder, "download", TRADE_ONLY="DOGE"), 78, "TRADE_ONLY")
