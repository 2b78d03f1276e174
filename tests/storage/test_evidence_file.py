"""The evidence file: read back as written, refused by name where it is not, and shipped in step with the program."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.backtest import choice
from bot.books.receipt import MOST_EXPECTED_PCT
from bot.bootstrap_backtest import prepared
from bot.bootstrap_config import engine_config_of, read_model, rules_of
from bot.bootstrap_evidence import ALL_LOOKS, _expectation, checksums
from bot.bootstrap_live import with_evidence
from bot.decide.confidence import Evidence
from bot.domain.errors import ConfigError
from bot.domain.evidence import EvidenceFile, Expectation, HitRate, Rules
from bot.domain.modes import TradingMode
from bot.engine.config import EngineConfig
from bot.settings import load_settings
from bot.settings_schema import Settings
from bot.storage.candle_files import open_source
from bot.storage.evidence_file import SHIPPED_FOLDER, evidence_document, evidence_path, read_evidence, write_evidence
from bot.views.evidence_text import EvidenceView, render_evidence, stale_words

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NOW = datetime(2025, 3, 1, tzinfo=UTC)
RULES = Rules(
    strategy="allocation",
    exit_rule="ladder",
    signal_ensemble=True,
    market_regime_engine=True,
    ai_trade_filter=True,
    others=(("TRADE_ONLY", "BTC,ETH,SOL"), ("MIN_SIGNAL_SCORE", "0.75")),
)
EXPECTATION = Expectation(
    account="kraken",
    name="allocation, all signals",
    rules=RULES,
    maker_fee_pct=0.4,
    taker_fee_pct=0.8,
    equity_usd=250.0,
    trades=20,
    total_r=6.0,
    squares_r=30.0,
    days=2000,
    windows=40,
    p10_pct=-2.0,
    median_pct=5.0,
    p90_pct=20.0,
    lost=9,
    max_drawdown_pct=7.0,
    sharpe=1.1,
    sharpe_low=0.4,
    sharpe_high=1.8,
    dsr=0.5,
)
EVIDENCE = EvidenceFile(
    built_at=NOW,
    source="binance",
    timeframe="1d",
    from_at=datetime(2018, 9, 1, tzinfo=UTC),
    to_at=datetime(2025, 1, 1, tzinfo=UTC),
    files=(("a_BTC-USD_1d.csv", "0" * 64),),
    looks=419,
    chosen="allocation, all signals",
    chosen_qualifies=True,
    expectations=(EXPECTATION,),
    regime=(HitRate(coin="BTC", periods=100, right=55, rose=50),),
)


def settings_with(changes: dict[str, str]) -> Settings:
    return load_settings(env_file=None, environ=changes)


def test_evidence_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    assert read_evidence(path) is None
    write_evidence(path, EVIDENCE)
    assert read_evidence(path) == EVIDENCE


def edited(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    document = json.loads(json.dumps(evidence_document(EVIDENCE)))
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("schema_version",), 2, "schema_version: must be 1"),
        (("built_at",), "yesterday", "built_at: must be a time"),
        (("to_at",), "2025-01-01", "to_at: must have a time zone"),
        (("looks",), "many", "looks: must be a int"),
        (("looks",), -1, "looks: must be a int"),
        (("files",), [{"name": "x"}], "sha256 is missing"),
        (("files",), 3, "no evidence that this version can use"),
        (("expectations",), {}, "expectations: must be a list"),
        (("expectations", 0, "total_r"), float("nan"), "expectations[0].total_r: must be a float"),
        (("expectations", 0, "trades"), 2.5, "expectations[0].trades: must be a int"),
        (("expectations", 0, "rules", "signal_ensemble"), 1, "expectations[0].rules.signal_ensemble: must be a bool"),
        (("expectations", 0, "more"), 1, "expectations[0]: must have account"),
        (("regime", 0), None, "regime[0]: must have coin"),
        (("schema_version",), True, "schema_version: must be 1"),
        (("expectations",), [], "expectations: there are none"),
        (("expectations", 0, "squares_r"), 1.7, "total_r 6 and squares_r 1.7 do not agree"),  # 6^2 > 20 x 1.7
        (("expectations", 0, "squares_r"), -1.0, "do not agree"),
        (("expectations", 0, "total_r"), 1e308, "expectations[0].total_r: must be a float"),
        (("expectations", 0, "days"), 10**400, "expectations[0].days: must be a int"),
        (("expectations", 0, "lost"), 41, "41 lost of 40 windows"),
        (("expectations", 0, "name"), "\ud800", "no evidence that this version can use"),
        (("regime", 0, "right"), 101, "101 right and 50 rose of 100"),
        (("from_at",), "0001-01-01T00:00:00+14:00", "no evidence that this version can use"),
        (("to_at",), "2010-01-01T00:00:00+00:00", "from_at and to_at: must lie between"),
        (("to_at",), "2099-01-01T00:00:00+00:00", "to_at 2099-01-01T00:00:00+00:00: must not lie after built_at"),
        (("files", 0, "sha256"), "zz", "files[0].sha256: must be 64 hexadecimal digits, was 'zz'"),
    ],
)
def test_file_that_is_no_evidence_is_refused_by_field(
    tmp_path: Path, path: tuple[str | int, ...], value: object, words: str
) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(edited(path, value)))
    with pytest.raises(ConfigError) as refused:
        read_evidence(file)
    assert str(file) in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * 200_001])
def test_file_that_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "evidence.json"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="no evidence that this version can use"):
        read_evidence(file)


def test_folder_or_dead_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evidence.json").mkdir()
    with pytest.raises(ConfigError, match="must be a file"):
        read_evidence(evidence_path(tmp_path))
    (tmp_path / "evidence.json").rmdir()
    (tmp_path / "evidence.json").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match="leads nowhere"):
        read_evidence(evidence_path(tmp_path))


def test_own_file_goes_before_the_shipped_one(tmp_path: Path) -> None:
    assert evidence_path(tmp_path) == SHIPPED_FOLDER / "evidence.json"
    write_evidence(tmp_path / "evidence.json", EVIDENCE)
    assert evidence_path(tmp_path) == tmp_path / "evidence.json"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"exit_rule": "trail"}, True),  # of breakout trades only
        ({"strategy": "breakout"}, False),
        ({"signal_ensemble": False}, False),
        ({"market_regime_engine": False}, False),
        ({"ai_trade_filter": False}, False),
        ({"others": (("TRADE_ONLY", "BTC"), ("MIN_SIGNAL_SCORE", "0.75"))}, False),
    ],
)
def test_evidence_counts_for_the_rules_that_it_was_found_with(change: dict[str, Any], same: bool) -> None:
    asked = Rules(**{name: getattr(RULES, name) for name in Rules.__slots__} | change)
    assert (EVIDENCE.of("kraken", asked) is EXPECTATION) == same
    assert EVIDENCE.of("coinbase", asked) is None


def view(**changes: Any) -> EvidenceView:
    values: dict[str, Any] = {
        "evidence": EVIDENCE,
        "is_shipped": False,
        "card": None,
        "account": "kraken",
        "maker_fee_pct": 0.4,
        "taker_fee_pct": 0.8,
        "rules": RULES,
        "own": EXPECTATION,
        "now": NOW,
    }
    return EvidenceView(**values | changes)


def test_stale_is_told_when_fees_data_or_settings_have_changed() -> None:
    assert stale_words(view()) == []
    assert stale_words(view(now=datetime(2026, 2, 5, tzinfo=UTC))) == []
    assert stale_words(view(now=datetime(2026, 2, 6, tzinfo=UTC))) == ["its newest candle is 401 days old"]
    [fees] = stale_words(view(maker_fee_pct=0.25))
    assert fees == "kraken takes 0.25/0.8 % here, 0.4/0.8 % there"
    other = replace(RULES, others=(("TRADE_ONLY", "BTC,ETH,SOL"), ("MIN_SIGNAL_SCORE", "0.9")))
    [settings] = stale_words(view(own=None, rules=other))
    assert settings.startswith("nothing in it was found for the present settings on kraken (it has none with MIN_")
    assert "MIN_SIGNAL_SCORE=0.9)" in settings


def test_words_give_figures_with_what_they_rest_on() -> None:
    text = "\n".join(render_evidence(view()))
    assert "55 % of 100 periods of 20 days (90 % range 47 to 63)" in text  # Wilson
    assert 'always "it rises": 50 %' in text
    assert "9 of 40" in text
    assert "<- present settings" in text
    assert "419 looks" in text
    assert "promise nothing" in text


def test_shipped_evidence_is_of_the_default_settings(tmp_path: Path) -> None:
    found = read_evidence(SHIPPED_FOLDER / "evidence.json")
    assert found is not None
    default = settings_with({"STATE_DIR": str(tmp_path)})
    assert rules_of(settings_with(choice.CANDIDATES[found.chosen])).same_as(rules_of(default))
    assert found.chosen_qualifies
    assert math.ceil(max(one.median_pct for one in found.expectations)) == MOST_EXPECTED_PCT
    assert found.last_day.date().isoformat() == choice.LAST_DAY
    assert found.looks == ALL_LOOKS == 170 + 245 + 4
    assert {(one.account, one.name) for one in found.expectations} == {
        (account, name) for account in ("coinbase", "kraken") for name in choice.CANDIDATES
    }
    card = read_model(tmp_path)
    assert card is not None
    assert card.files == found.files
    assert not card.armed


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real candles: {DATA.name} is not beside the project")
def test_shipped_evidence_is_what_the_program_finds() -> None:
    """The default on one account: whoever changes a rule builds the evidence anew (`evidence FOLDER --into`)."""
    shipped = read_evidence(SHIPPED_FOLDER / "evidence.json")
    assert shipped is not None
    settings = settings_with(choice.CANDIDATES[shipped.chosen])
    data = open_source(DATA, shipped.source, settings.trade_only, timeframe=shipped.timeframe)
    assert tuple(checksums(data).items()) == shipped.files
    ready = prepared(settings, data=data, account="kraken", equity=Decimal(choice.EQUITY_USD), compiled=False)
    from_ms, to_ms = (round(at.timestamp() * 1000) for at in (shipped.from_at, shipped.to_at))
    found, _ = _expectation(ready, settings, account="kraken", name=shipped.chosen, from_ms=from_ms, to_ms=to_ms)
    assert found == shipped.of("kraken", rules_of(settings))


def own_evidence(state_dir: Path) -> EvidenceFile:
    """Of the default settings."""
    rules = rules_of(settings_with({"STATE_DIR": str(state_dir)}))
    return replace(EVIDENCE, expectations=(replace(EXPECTATION, rules=rules),))


def config_of(state_dir: Path, **changes: str) -> EngineConfig:
    settings = settings_with({"STATE_DIR": str(state_dir), **changes})
    config = engine_config_of(
        settings,
        mode=TradingMode.PAPER,
        coins=("BTC",),
        accounts=("kraken",),
        bar_source="kraken",
        poll_s=60.0,
        snapshot_every_cycles=1,
    )
    return with_evidence(config, settings, now=datetime(2026, 2, 6, tzinfo=UTC))


def test_bot_on_live_prices_counts_the_evidence_of_its_settings(tmp_path: Path) -> None:
    write_evidence(tmp_path / "evidence.json", own_evidence(tmp_path))
    config = config_of(tmp_path)
    assert config.evidence == Evidence(20.0, 6.0, 30.0)
    assert config.evidence_fees_pct == (0.4, 0.8)
    assert config.evidence_about == (
        "20 simulated trades at a quarter (allocation, all signals, 2018-09-01 to 2024-12-31), stale: its newest "
        "candle is 401 days old"
    )
    assert config.model is not None
    assert config.model_about.startswith("AI model: not armed (AUC 0.45")


def test_bot_with_other_settings_has_no_evidence_and_says_so(tmp_path: Path) -> None:
    write_evidence(tmp_path / "evidence.json", own_evidence(tmp_path))
    config = config_of(tmp_path, MIN_SIGNAL_SCORE="0.9")
    assert config.evidence is None
    assert config.rules_key != config_of(tmp_path).rules_key
    assert config.evidence_about == "no evidence for these settings on kraken"


def test_damaged_files_keep_nobody_from_trading_or_selling(tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_text("{}")
    (tmp_path / "model.json").write_text("{}")
    config = config_of(tmp_path)
    assert (config.evidence, config.model) == (None, None)
    assert "evidence.json: no evidence that this version can use" in config.evidence_about
    assert config.model_about.startswith("AI model: it abstains, ")
