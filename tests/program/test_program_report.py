"""`backtest --report` as a user runs it: one file with the numbers of `backtest --json`, and what is wrong."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from program_rig import assert_fails, bot, bot_inside, write_env
from report_rig import NASTY, RUN, SETTINGS, SPLIT, Page, as_number, candle_folder, read_page

pytest.importorskip("jinja2", reason="the report extra is not installed")
pytest.importorskip("plotly", reason="the report extra is not installed")

TIMES = ("seconds", "kernel_seconds", "candles_per_second")
"""What no two runs have in common."""
HEADINGS = (
    "In numbers",
    "In and out of sample",
    "Equity",
    "Drawdown",
    "Exposure",
    "Tiers",
    "Trades on candles",
    "Months",
    "Fees against the gross result",
    "Monte Carlo: the next year",
    "Guards",
    "Refusals",
    "Assumptions",
    "Data",
)


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return candle_folder(tmp_path_factory.mktemp("candles"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, candles: Path) -> Path:
    """A folder with a report in it, split in its middle, made by the program itself."""
    folder = tmp_path_factory.mktemp("home")
    write_env(folder, *SETTINGS)
    done = bot(folder, "backtest", str(candles), *RUN, "--report", "page.html", "--split", SPLIT)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Report: page\.html, [45]\.\d MB", done.stderr)
    (folder / "stdout.txt").write_text(done.stdout, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(home: Path) -> Page:
    return read_page(home / "page.html")


def document(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> dict[str, Any]:
    done = bot_inside(monkeypatch, folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return timeless(found)


def timeless(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in TIMES}


def test_result_is_printed_as_before(home: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = bot_inside(monkeypatch, home, "backtest", str(candles), *RUN)
    printed = (home / "stdout.txt").read_text(encoding="utf-8")
    assert [line for line in printed.splitlines() if not line.startswith("Computed")] == [
        line for line in without.stdout.splitlines() if not line.startswith("Computed")
    ]


def test_embedded_numbers_are_those_of_json(
    home: Path, candles: Path, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = document(monkeypatch, home, "backtest", str(candles), *RUN)
    assert whole["orders"] > 5
    assert timeless(page.json("result")) == whole
    parts = page.json("parts")
    first = document(monkeypatch, home, "backtest", str(candles), "--from", RUN[1], "--to", "2022-08-31", *RUN[4:])
    second = document(monkeypatch, home, "backtest", str(candles), "--from", SPLIT, *RUN[2:])
    assert {name: timeless(part) for name, part in parts.items()} == {"In sample": first, "Out of sample": second}
    assert (first["days"], second["days"]) == (53, 50)


def test_shown_numbers_are_the_embedded_ones(page: Page) -> None:
    result = page.json("result")
    digits = {"end_equity": 2, "cagr_pct": 2, "sharpe": 2, "max_drawdown_pct": 1, "trades": 0, "fees_usd": 2}
    assert page.fields.keys() == digits.keys()
    for name, places in digits.items():
        assert as_number(page.fields[name]) == pytest.approx(result[name], abs=0.5001 * 10**-places), name
    for count in result["refusals"].values():
        assert f" {count} " in page.text


def test_series_end_where_the_result_ends(page: Page) -> None:
    result, charts = page.json("result"), page.json("charts")
    assert set(charts) == {"equity", "drawdown", "exposure", "tiers", "fees", "fan", "trades0", "trades1", "trades2"}
    of_bot, matched, everything, cash = charts["equity"]["data"]
    start = result["start_equity"]
    assert of_bot["y"][-1] == pytest.approx(result["end_equity"], abs=0.01)
    assert everything["y"][-1] == pytest.approx(start * (1 + result["buy_hold_pct"] / 100), rel=1e-5)
    assert matched["y"][-1] == pytest.approx(start * (1 + result["exposure_matched_hold_pct"] / 100), rel=1e-5)
    assert cash["y"] == [start, start]
    before, after, paid = (trace["y"][-1] for trace in charts["fees"]["data"])
    assert paid == pytest.approx(result["fees_usd"], abs=0.01)
    assert before - paid == pytest.approx(after, abs=0.001)
    halt = charts["drawdown"]["data"][1]
    assert (halt["name"], halt["y"]) == ("Halt at 12 %", [-12.0, -12.0])
    assert -min(charts["drawdown"]["data"][0]["y"]) <= result["max_drawdown_pct"] + 0.001
    assert [len(charts["tiers"]["data"][1]["x"])] == [len(result["tier_history"])]
    fills = [mark for n in range(3) for trace in charts[f"trades{n}"]["data"][1:] for mark in trace["text"]]
    assert {trace["name"] for n in range(3) for trace in charts[f"trades{n}"]["data"][1:]} == {
        "Bought",
        "Sold",
        "Stopped",
    }
    assert all(
        re.search(r"(bought|sold) [\d.,]+ \w{3} at \$[\d.,]+ = \$[\d.,]+, fee \$[\d.]+: .+", one) for one in fills
    )


def test_page_says_everything_it_should(page: Page, candles: Path) -> None:
    assert [heading for heading in HEADINGS if f" {heading} " not in page.text] == []
    for words in (
        "SIMULATED BACKTEST on binance candles (1h), 2022-07-10 to 2022-10-20: recorded prices, simulated orders",
        "insufficient: fewer than 30 trades (",
        "The shipped defaults were chosen on data up to 2024-12-31. The parts meet at 2022-09-01; each is a run of its "
        "own that begins with $490.00. The second is out of sample only for rules that were chosen before 2022-09-01.",
        "STARTER from $15, GROWTH from $250, ADVANCED from $500, ELITE from $1,000",
        "1,000 invented years from $",
        "kraken: 0.25 % where an order rests, 0.4 % where it is executed at once",
        "5 basis points on either side",
        "The orders are invented",
        "3 losses in a row",
        "breakout, exits by ladder",
    ):
        assert words in page.text, words
    assert " nan" not in page.text.lower()
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in candles.glob("binance_*")}
    assert len(sums) == 6
    assert all(f"{name} " in page.text and digest in page.text for name, digest in sums.items())
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    assert f"Hash of all of them: {hashlib.sha256(lines.encode()).hexdigest()} " in page.text
    assert " 2880 2022-06-30 00:00 UTC 2022-10-28 00:00 UTC " in page.text  # 120 days of hours


def test_page_needs_nothing_from_elsewhere(home: Path, page: Page) -> None:
    assert {"src", "href", "action", "data", "poster", "srcset", "background"} & {
        name for _, attributes in page.tags for name in attributes
    } == set()
    assert {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "form", "a"} == set()
    policy = next(of["content"] for tag, of in page.tags if of.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert "url(" not in page.blocks["style"]
    assert "@import" not in page.blocks["style"]
    assert list(home.glob("page.html*")) == [home / "page.html"]
    assert (home / "page.html").stat().st_size < 6_000_000


def test_names_from_outside_are_only_text(home: Path, page: Page) -> None:
    assert f"ignored: {NASTY};" in page.text
    raw = (home / "page.html").read_text(encoding="utf-8")
    assert "<img" not in raw.replace(page.blocks["script"], "")
    assert not any("onerror" in attributes for _, attributes in page.tags)


def test_without_split_all_of_it_is_in_sample(tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.html").write_text("old", encoding="utf-8")
    done = bot_inside(monkeypatch, tmp_path, "backtest", str(candles), *RUN, "--report", "page.html", "--json")
    assert done.returncode == 0, done.stderr
    page = read_page(tmp_path / "page.html")  # the old one has been replaced
    assert page.json("result") == json.loads(done.stdout)
    assert page.json("parts") == {}
    assert "All of it is in sample: the default was chosen on these years, expect less." in page.text
    assert list(tmp_path.iterdir()) == [tmp_path / "page.html"]


def test_account_in_which_nothing_happens_has_a_page_too(
    tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("--from", "2022-09-01", "--to", "2022-09-05", "--equity", "2")
    done = bot_inside(monkeypatch, tmp_path, "backtest", str(candles), *few, "--report", "page.html")
    assert done.returncode == 0, done.stderr
    page = read_page(tmp_path / "page.html")
    assert "fan" not in page.json("charts")
    assert "No year can be drawn from these days: insufficient: fewer than 40 days (5)." in page.text
    assert "The account never had a tier." in page.text
    assert (page.fields["sharpe"], page.fields["fees_usd"]) == ("insufficient", "$0.00")


Mistake = tuple[tuple[str, ...], int, tuple[str, ...]]


@pytest.mark.parametrize(
    "mistake",
    [
        (("--report", "nowhere/page.html"), 78, ("--report nowhere/page.html", "folder nowhere does not exist")),
        (("--report", "."), 78, ("--report .", "is a folder")),
        (("--report", "p" * 300), 78, ("--report ppp", "cannot be written", "too long")),
        (("--split", "2022-09-10"), 78, ("--split 2022-09-10", "--report FILE")),
        (("--report", "page.html", "--split", "soon"), 78, ("--split 'soon'", "must be a date")),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch, mistake: Mistake
) -> None:
    arguments, code, words = mistake
    assert_fails(bot_inside(monkeypatch, tmp_path, "backtest", str(candles), *RUN, *arguments), code, *words)
    assert list(tmp_path.iterdir()) == []


def test_extra_that_is_not_installed_is_said(tmp_path: Path, candles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.cli.backtest_report.is_available", lambda: False)
    done = bot_inside(monkeypatch, tmp_path, "backtest", str(candles), *RUN, "--report", "page.html")
    assert_fails(done, 78, "--report", "scripts/requirements-report.txt", "installs them")
    assert list(tmp_path.iterdir()) == []
