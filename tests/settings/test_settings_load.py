"""Where values come from and what they become."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.domain.modes import ExitRule, Strategy
from bot.settings import Settings, describe, env_file_is_private, load_settings, names_in_env_file
from bot.settings_schema import SETTINGS, AccountMode, Broker, PositionSizer, leg_weights


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / ".env"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def load(folder: Path, content: str | bytes) -> Settings:
    return load_settings(env_file=write(folder, content), environ={})


def test_defaults_without_any_source_are_the_guides() -> None:
    settings = load_settings(env_file=None, environ={})
    assert settings == Settings()
    assert settings.mode is AccountMode.MASTER_ONLY
    assert (settings.primary_broker, settings.secondary_broker) == (Broker.COINBASE, Broker.KRAKEN)
    assert settings.position_sizer is PositionSizer.HYBRID
    assert (settings.strategy, settings.exit_rule) == (Strategy.ALLOCATION, ExitRule.LADDER)
    assert (settings.min_balance_to_trade, settings.min_trade_size) == (Decimal(15), Decimal(5))
    assert (settings.min_balance_coinbase, settings.min_balance_kraken) == (Decimal(10), Decimal(50))
    assert (settings.max_positions, settings.risk_per_trade) == (None, None)
    assert (settings.max_position_pct, settings.daily_max_loss, settings.max_drawdown) == (18.0, 6.0, 12.0)
    assert (settings.kelly_weight, settings.volatility_weight, settings.equity_weight) == (0.3, 0.4, 0.3)
    assert (settings.min_signal_score, settings.min_ai_confidence, settings.min_risk_reward) == (0.75, 0.7, 1.8)
    assert settings.trade_only == ("BTC", "ETH", "SOL")
    assert (settings.max_consecutive_losses, settings.force_cash_buffer) == (3, 15.0)
    assert (settings.state_dir, settings.poll_seconds, settings.paper_equity) == (Path(), 60, Decimal(100))
    assert (settings.coinbase_maker_fee_pct, settings.coinbase_taker_fee_pct) == (Decimal("0.60"), Decimal("1.20"))
    assert (settings.kraken_maker_fee_pct, settings.kraken_taker_fee_pct) == (Decimal("0.40"), Decimal("0.80"))


def test_missing_file_counts_as_empty(tmp_path: Path) -> None:
    assert load_settings(env_file=tmp_path / ".env", environ={}) == Settings()


def test_precedence_is_command_line_environment_file_default(tmp_path: Path) -> None:
    path = write(tmp_path, "\n\n# comment\nPOLL_SECONDS=10\nMAX_DRAWDOWN=10\nDAILY_MAX_LOSS=5\n")
    environ = {"POLL_SECONDS": "20", "MAX_DRAWDOWN": "9", "PATH": "/bin"}
    settings = load_settings(env_file=path, environ=environ, overrides={"POLL_SECONDS": "30"})
    assert (settings.poll_seconds, settings.max_drawdown, settings.daily_max_loss) == (30, 9.0, 5.0)
    assert settings.origins["POLL_SECONDS"] == "command line"
    assert settings.origins["MAX_DRAWDOWN"] == "environment"
    assert settings.origins["DAILY_MAX_LOSS"] == ".env line 6"
    assert settings.origins["MAX_POSITION_PCT"] == "default"
    assert set(settings.origins) == set(SETTINGS)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_numbers_count_blank_lines_and_comments(tmp_path: Path, newline: str) -> None:
    lines = ["# first", "", "", "PRO_MODE=no", "", 'COINBASE_API_SECRET="a', 'b"', "POLL_SECONDS=7"]
    settings = load(tmp_path, newline.join(lines))
    assert settings.origins["PRO_MODE"] == ".env line 4"
    assert settings.origins["COINBASE_API_SECRET"] == ".env line 6"
    assert settings.origins["POLL_SECONDS"] == ".env line 8"
    assert settings.coinbase_api_secret.reveal() == "a\nb"


def test_file_with_byte_order_mark_export_and_quotes_is_read(tmp_path: Path) -> None:
    text = "export POLL_SECONDS='30'\nMAX_DRAWDOWN = \"10\"  # mine\nSTATE_DIR='my folder'\n"
    settings = load(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert (settings.poll_seconds, settings.max_drawdown, settings.state_dir) == (30, 10.0, Path("my folder"))
    assert settings.origins["POLL_SECONDS"] == ".env line 1"


def test_dollar_braces_are_not_interpolated(tmp_path: Path) -> None:
    settings = load_settings(
        env_file=write(tmp_path, "STATE_DIR=${HOME}/bot\n"), environ={"HOME": "/somewhere", "USER": "me"}
    )
    assert settings.state_dir == Path("${HOME}/bot")


@pytest.mark.parametrize(
    ("text", "coins"),
    [
        ('["BTC", "ETH", "SOL"]', ("BTC", "ETH", "SOL")),
        ('\'["SOL", "BTC"]\'', ("SOL", "BTC")),
        ("[BTC,ETH]", ("BTC", "ETH")),
        ("btc, sol", ("BTC", "SOL")),
        ("ETH,ETH", ("ETH",)),
    ],
)
def test_trade_only_in_each_spelling_gives_coins(tmp_path: Path, text: str, coins: tuple[str, ...]) -> None:
    assert load(tmp_path, f"TRADE_ONLY={text}\n").trade_only == coins


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("YES", True), ("on", True), ("1", True), ("Off", False), ("0", False)]
)
def test_switch_in_each_spelling_is_read(text: str, value: bool) -> None:
    assert load_settings(env_file=None, environ={"PRO_MODE": text}).pro_mode is value


@pytest.mark.parametrize("text", ["breakout", "BREAKOUT", "BreakOut"])
def test_strategy_in_any_case_is_read(text: str) -> None:
    assert load_settings(env_file=None, environ={"STRATEGY": text}).strategy is Strategy.BREAKOUT


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("ladder", ExitRule.LADDER),
        ("Runner", ExitRule.RUNNER),
        ("TRAIL", ExitRule.TRAIL),
        ("trail_tight", ExitRule.TRAIL_TIGHT),
        ("TRAIL_TIGHT", ExitRule.TRAIL_TIGHT),
    ],
)
def test_exit_rule_in_any_case_is_read(text: str, rule: ExitRule) -> None:
    assert load_settings(env_file=None, environ={"EXIT_RULE": text}).exit_rule is rule


@pytest.mark.parametrize("text", ["MASTER_FOLLOW", "master_follow"])
def test_account_mode_in_any_case_is_read(text: str) -> None:
    assert load_settings(env_file=None, environ={"MODE": text}).mode is AccountMode.MASTER_FOLLOW


@pytest.mark.parametrize(
    ("sizer", "weights"),
    [
        ("HYBRID", (0.25, 0.25, 0.5)),
        ("hybrid", (0.25, 0.25, 0.5)),
        ("KELLY", (1.0, 0.0, 0.0)),
        ("Volatility", (0.0, 1.0, 0.0)),
        ("equity", (0.0, 0.0, 1.0)),
    ],
)
def test_position_sizer_means_weights_of_the_legs(sizer: str, weights: tuple[float, float, float]) -> None:
    own = {"KELLY_WEIGHT": "0.25", "VOLATILITY_WEIGHT": "0.25", "EQUITY_WEIGHT": "0.5"}
    assert leg_weights(load_settings(env_file=None, environ={"POSITION_SIZER": sizer, **own})) == weights


def test_settings_that_work_no_longer_say_that_they_do_not() -> None:
    working = ["MICRO_CAPITAL_MODE", "MODE", "PRO_MODE", "POSITION_SIZER", "KELLY_WEIGHT", "VOLATILITY_WEIGHT"]
    working += ["EQUITY_WEIGHT", "MIN_RISK_REWARD", "AUTO_SHUTOFF_ON_ERRORS", "STRATEGY", "EXIT_RULE"]
    assert [name for name in working if SETTINGS[name].effect] == []
    assert "abstains" in SETTINGS["MIN_AI_CONFIDENCE"].effect


def test_ceilings_are_stored_and_empty_means_the_tiers() -> None:
    settings = load_settings(env_file=None, environ={"MAX_POSITIONS": "1", "RISK_PER_TRADE": "0.5"})
    assert (settings.max_positions, settings.risk_per_trade) == (1, 0.5)
    settings = load_settings(env_file=None, environ={"MAX_POSITIONS": "", "RISK_PER_TRADE": " "})
    assert (settings.max_positions, settings.risk_per_trade) == (None, None)


def test_limits_can_be_tightened() -> None:
    environ = {"DAILY_MAX_LOSS": "2", "FORCE_CASH_BUFFER": "40", "MAX_CONSECUTIVE_LOSSES": "1", "MIN_RISK_REWARD": "3"}
    settings = load_settings(env_file=None, environ=environ)
    assert (settings.daily_max_loss, settings.force_cash_buffer) == (2.0, 40.0)
    assert (settings.max_consecutive_losses, settings.min_risk_reward) == (1, 3.0)


@pytest.mark.parametrize("url", ["https://proxy.example/v1/", "http://127.0.0.1:8080", "http://[::1]:9"])
def test_url_of_a_proxy_is_kept_without_its_last_slash(url: str) -> None:
    assert load_settings(env_file=None, environ={"KRAKEN_API_URL": url}).kraken_api_url == url.rstrip("/")


def test_unknown_names_are_ignored_and_kept(tmp_path: Path) -> None:
    text = "TELEGRAM_TOKEN=x\nhttp_proxy=y\nBINANCE_API_SECRET=z\nMIN_CASH_TO_BUY=5\n"
    settings = load(tmp_path, text)
    assert settings == Settings()
    assert settings.unknown_names == (
        "TELEGRAM_TOKEN",
        ".env line 2 (name not shown)",
        "BINANCE_API_SECRET",
        "MIN_CASH_TO_BUY",
    )


def test_aliases_in_the_environment_are_ignored() -> None:
    environ = {"MAX_CONCURRENT_POSITIONS": "99", "COPY_TRADING_MODE": "nonsense", "MIN_CASH_TO_BUY": "-1"}
    assert load_settings(env_file=None, environ=environ) == Settings()


def test_describe_shows_every_setting_with_origin_and_unit(tmp_path: Path) -> None:
    rows = {row.name: row for row in describe(load(tmp_path, "MAX_POSITION_PCT=12.5\nKRAKEN_MASTER_API_KEY=abc\n"))}
    assert list(rows) == list(SETTINGS)
    assert (rows["MAX_POSITION_PCT"].value, rows["MAX_POSITION_PCT"].unit) == ("12.5", "%")
    assert rows["MAX_POSITION_PCT"].origin == ".env line 1"
    assert rows["MAX_POSITIONS"].value == "the tier's"
    assert rows["KRAKEN_MASTER_API_KEY"].value == "set (hidden)"
    assert rows["COINBASE_API_KEY"].value == "not set"
    assert rows["COINBASE_API_URL"].value == "not set"
    assert rows["TRADE_ONLY"].value == "BTC,ETH,SOL"
    assert rows["COINBASE_MAKER_FEE_PCT"].value == "0.60"
    assert rows["LEVERAGE_ENABLED"].effect.startswith("no effect yet: ")
    assert rows["MAX_DRAWDOWN"].effect == ""
    assert all(row.help for row in rows.values())


def test_env_file_is_private_only_without_bits_for_others(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    for mode, private in ((0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o620, False)):
        path.chmod(mode)
        assert env_file_is_private(path) is private
    assert env_file_is_private(tmp_path / "missing")


def test_names_in_env_file_lists_what_it_sets(tmp_path: Path) -> None:
    assert names_in_env_file(write(tmp_path, "A=1\n# B=2\nexport MODE=x\nnonsense\n")) == {"A", "MODE"}
    assert names_in_env_file(tmp_path / "missing") == frozenset()
    with pytest.raises(ConfigError, match="must be a text file, was a directory"):
        names_in_env_file(tmp_path)
