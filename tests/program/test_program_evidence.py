"""`evidence` as a user runs it: shipped, built anew from candles, stale, and with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program_rig import assert_fails, bot, bot_inside, day_ms, days_of, walk, write_candles, write_env

FIRST, DAYS = "2020-01-01", 900
DRIFTS = (0.3, 1.5, -0.5, 2.0)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with evidence of its own."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "candles").mkdir()
    hours = walk(seed=60, first_ms=day_ms(FIRST), hours=DAYS * 24, price=20_000.0, drifts=DRIFTS)
    write_candles(folder / "candles", "coinbase_BTC-USD_1d.csv", days_of(hours))
    write_env(
        folder,
        "KRAKEN_MAKER_FEE_PCT=0.25",
        "KRAKEN_TAKER_FEE_PCT=0.40",
        "PRIMARY_BROKER=KRAKEN",
        "SECONDARY_BROKER=NONE",
        "TRADE_ONLY=BTC",
    )
    ended = bot(folder, "evidence", "candles")
    assert ended.returncode == 0, ended.stderr
    assert "kraken: breakout, trend alone ..." in ended.stderr
    return folder


def test_shipped_evidence_is_shown_where_there_is_none_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_env(tmp_path, "PRIMARY_BROKER=KRAKEN", "SECONDARY_BROKER=NONE")
    done = bot_inside(monkeypatch, tmp_path, "evidence")
    assert done.returncode == 0
    assert done.stdout.startswith("EVIDENCE (shipped with the program)")
    for words in ("candle is", "<- present settings", "AI model: not armed", "sha256", "promise nothing"):
        assert words in done.stdout, words
    document = json.loads(bot_inside(monkeypatch, tmp_path, "evidence", "--json").stdout)
    assert (document["shipped"], document["own"], document["looks"]) == (True, "allocation, all signals", 419)


def test_evidence_that_was_built_is_ones_own_and_states_its_data(monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    document = json.loads(bot_inside(monkeypatch, built, "evidence", "--json").stdout)
    assert (document["shipped"], document["source"], document["account"]) == (False, "coinbase", "kraken")
    assert document["from_at"].startswith("2020-12-31")  # a year of warm-up
    assert document["to_at"].startswith("2022-06-19")
    assert [file["name"] for file in document["files"]] == ["coinbase_BTC-USD_1d.csv"]
    assert document["chosen"] == ""  # the rule asks for other years
    assert len(document["expectations"]) == 8
    first = next(one for one in document["expectations"] if one["account"] == "kraken")
    assert (first["maker_fee_pct"], first["taker_fee_pct"], first["windows"]) == (0.25, 0.4, 6)
    assert first["p10_pct"] <= first["median_pct"] <= first["p90_pct"]
    assert any("days old" in words for words in document["stale"])


def test_other_fees_and_other_settings_make_it_stale(monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    done = bot_inside(monkeypatch, built, "--set", "KRAKEN_TAKER_FEE_PCT=0.8", "evidence")
    assert "kraken takes 0.25/0.8 % here, 0.25/0.4 % there" in done.stdout
    done = bot_inside(
        monkeypatch, built, "--set", "POSITION_SIZER=HYBRID", "--set", "AI_TRADE_FILTER=False", "evidence"
    )
    assert "nothing in it was found for the present settings on kraken" in done.stdout
    assert "AI_TRADE_FILTER=False" in done.stdout


def test_candles_that_have_changed_make_it_stale(monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    file = built / "candles" / "coinbase_BTC-USD_1d.csv"
    before = file.read_bytes()
    assert "have changed" not in bot_inside(monkeypatch, built, "evidence").stdout
    try:
        file.write_bytes(before + before.splitlines()[-1].replace(b"1655596800000", b"1655683200000") + b"\n")
        done = bot_inside(monkeypatch, built, "evidence")
        assert "Stale           candles have changed since: coinbase_BTC-USD_1d.csv; `evidence FOLDER`" in done.stdout
    finally:
        file.write_bytes(before)


def test_what_is_wrong_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_env(tmp_path)
    assert_fails(bot_inside(monkeypatch, tmp_path, "evidence", "nowhere"), 78, "nowhere", "does not exist")
    assert_fails(bot_inside(monkeypatch, tmp_path, "evidence", "--source", "kraken"), 78, "--source", "FOLDER")
    assert_fails(bot_inside(monkeypatch, tmp_path, "evidence", ".", "--into", "gone"), 78, "gone: no such folder")
    (tmp_path / "evidence.json").write_text("{}")
    assert_fails(bot_inside(monkeypatch, tmp_path, "evidence"), 78, "evidence.json", "schema_version")


def test_candle_that_has_not_closed_is_no_evidence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is refused before anything is computed: a file of such candles could not be read again."""
    write_env(tmp_path, "TRADE_ONLY=BTC")
    hours = walk(seed=60, first_ms=day_ms("2098-01-01"), hours=600 * 24, price=20_000.0, drifts=DRIFTS)
    write_candles(tmp_path, "x_BTC-USD_1d.csv", days_of(hours))
    done = bot_inside(monkeypatch, tmp_path, "evidence", ".")
    assert_fails(done, 78, "x candles in . end with that of 2099-08-23, which has not closed: take it out")
    assert "trend alone" not in done.stderr
    assert not (tmp_path / "evidence.json").exists()
