"""Broken settings: each message names the setting, the place, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.settings import load_settings

TIGHTEN = "this limit can be tightened, not loosened"


def message_for(folder: Path, content: str | bytes) -> str:
    path = folder / ".env"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file=path, environ={})
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "# mine\n\nMAX_POSITION_PCT=0.18\n",
            "MAX_POSITION_PCT (.env line 3): must be a percent from 1 to 18, was '0.18'; did you mean 18?",
        ),
        (
            "RISK_PER_TRADE=0.03",
            "RISK_PER_TRADE (.env line 1): must be a percent from 0.1 to 6, or empty for the tier's own, "
            "was '0.03'; did you mean 3?",
        ),
        (
            "KRAKEN_TAKER_FEE_PCT=0.008",
            "KRAKEN_TAKER_FEE_PCT (.env line 1): must be a percent from 0 to 5, was '0.008'; did you mean 0.8?",
        ),
        (
            "MIN_SIGNAL_SCORE=80",
            "MIN_SIGNAL_SCORE (.env line 1): must be a fraction from 0.75 to 1, was '80'; did you mean 0.8?",
        ),
        (
            "DAILY_MAX_LOSS=10",
            f"DAILY_MAX_LOSS (.env line 1): must be a percent from 0.5 to 6, was '10'; {TIGHTEN}",
        ),
        (
            "FORCE_CASH_BUFFER=5",
            f"FORCE_CASH_BUFFER (.env line 1): must be a percent from 15 to 99, was '5'; {TIGHTEN}",
        ),
        (
            "MIN_BALANCE_TO_TRADE=10",
            f"MIN_BALANCE_TO_TRADE (.env line 1): must be dollars from 15 to 1000000, was '10'; {TIGHTEN}",
        ),
        ("MAX_DRAWDOWN=nan", "MAX_DRAWDOWN (.env line 1): must be a percent from 1 to 12, was 'nan'"),
        ("PAPER_EQUITY=inf", "PAPER_EQUITY (.env line 1): must be dollars from 1 to 1000000000, was 'inf'"),
        (
            "PAPER_EQUITY=$1,000",
            "PAPER_EQUITY (.env line 1): must be dollars from 1 to 1000000000, was '$1,000'; write the number alone",
        ),
        ("POLL_SECONDS=", "POLL_SECONDS (.env line 1): must be a whole number from 5 to 3600, was ''"),
        (
            "POLL_SECONDS=7.5",
            "POLL_SECONDS (.env line 1): must be a whole number from 5 to 3600, was '7.5'; no part of one is possible",
        ),
        ("PRO_MODE=maybe", "PRO_MODE (.env line 1): must be True or False, was 'maybe'"),
        (
            "MODE=SOLO",
            "MODE (.env line 1): must be one of MASTER_ONLY, INDEPENDENT, MASTER_FOLLOW, was 'SOLO'",
        ),
        ("STRATEGY=scalp", "STRATEGY (.env line 1): must be one of allocation, breakout, was 'scalp'"),
        (
            "\nEXIT_RULE=none",
            "EXIT_RULE (.env line 2): must be one of ladder, runner, trail, trail_tight, was 'none'",
        ),
        (
            "POSITION_SIZER=MAX",
            "POSITION_SIZER (.env line 1): must be one of HYBRID, KELLY, VOLATILITY, EQUITY, was 'MAX'",
        ),
        (
            "MIN_RISK_REWARD=1.5",
            f"MIN_RISK_REWARD (.env line 1): must be a ratio from 1.8 to 10, was '1.5'; {TIGHTEN}",
        ),
        ("PRIMARY_BROKER=NONE", "PRIMARY_BROKER (.env line 1): must be one of COINBASE, KRAKEN, was 'NONE'"),
        (
            "TRADE_ONLY=BTC,DOGE",
            "TRADE_ONLY (.env line 1): must be one or more of BTC, ETH, SOL, separated by commas, was 'BTC,DOGE'",
        ),
        (
            "TRADE_ONLY=[]",
            "TRADE_ONLY (.env line 1): must be one or more of BTC, ETH, SOL, separated by commas, was '[]'",
        ),
        ("STATE_DIR=", "STATE_DIR (.env line 1): must be a folder, was ''"),
        (
            "PRIMARY_BROKER=KRAKEN",
            "PRIMARY_BROKER and SECONDARY_BROKER are both KRAKEN: set SECONDARY_BROKER to the other venue, or to NONE",
        ),
        (
            "KELLY_WEIGHT=0.5",
            "KELLY_WEIGHT 0.5 + VOLATILITY_WEIGHT 0.4 + EQUITY_WEIGHT 0.3 must be 1, was 1.2",
        ),
        (
            "COINBASE_MAKER_FEE_PCT=2",
            "COINBASE_MAKER_FEE_PCT must be at most COINBASE_TAKER_FEE_PCT (1.20), was 2",
        ),
        ("PRO_MODE=on\n\nPRO_MODE=on\n", "PRO_MODE: must be set once, was set in .env line 1 and line 3"),
        ("\nMAX_DRAWDWN=5\n", ".env line 2: there is no setting 'MAX_DRAWDWN'; did you mean MAX_DRAWDOWN?"),
        ("pro_mode=1", ".env line 1: there is no setting 'pro_mode'; did you mean PRO_MODE?"),
        ("MAX_DAILY_LOSS=5", ".env line 1: there is no setting 'MAX_DAILY_LOSS'; did you mean DAILY_MAX_LOSS?"),
        (
            "KRAKEN_API_KEY=abc",
            ".env line 1: there is no setting 'KRAKEN_API_KEY'; did you mean KRAKEN_MASTER_API_KEY?",
        ),
        ("PRO_MODE\n", "PRO_MODE (.env line 1): must be PRO_MODE=value, was without '='"),
        (
            'A=1\nSTATE_DIR="my folder\n',
            "STATE_DIR (.env line 2): a closing quote is missing, or something follows it",
        ),
        (
            "PRO_MODE=True\nthis is no setting\n\nnor is this\n",
            ".env line 2, 4: must be NAME=value, was something else (not shown); "
            "a value of several lines belongs into double quotes",
        ),
        (
            b"PRO_MODE=True\nSTATE_DIR=caf\xe9\n",
            ".env line 2: must be UTF-8 text, was something else; save the file as UTF-8",
        ),
        (b"A=1\n" * 20_000, ".env: must be at most 65536 bytes long, was longer"),
    ],
)
def test_broken_file_gets_a_message(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert message_for(tmp_path, content) == message


def test_directory_in_place_of_the_file_gets_a_message(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file=tmp_path / ".env", environ={})
    assert str(caught.value) == ".env: must be a text file, was a directory"


def test_loop_of_links_gets_a_message(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / ".env")
    with pytest.raises(ConfigError, match=r"^\.env: cannot be read: "):
        load_settings(env_file=tmp_path / ".env", environ={})


@pytest.mark.parametrize(
    "url", ["ftp://x.example", "http://proxy.example", "proxy.example", "https://", "http://[", "https://a b"]
)
def test_wrong_url_gets_a_message(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file=None, environ={"COINBASE_API_URL": url})
    allowed = "an https:// address (http:// only on this machine: localhost, 127.0.0.1, [::1]), or empty"
    assert f"COINBASE_API_URL (environment variable): must be {allowed}, was {url!r}" in str(caught.value)


def test_url_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file=None, environ={"COINBASE_API_URL": "https://me:hunter2@proxy.example"})
    assert "COINBASE_API_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_environment_and_command_line_are_named_as_the_place() -> None:
    with pytest.raises(ConfigError, match=r"^MODE \(environment variable\): must be one of .*, was 'production'$"):
        load_settings(env_file=None, environ={"MODE": "production"})
    with pytest.raises(ConfigError, match=r"^POLL_SECONDS \(command line\): must be a whole number from 5 to 3600"):
        load_settings(env_file=None, environ={}, overrides={"POLL_SECONDS": "1"})
    with pytest.raises(
        ConfigError, match=r"^command line: there is no setting 'POLL_SECOND'; did you mean POLL_SECONDS\?$"
    ):
        load_settings(env_file=None, environ={}, overrides={"POLL_SECOND": "10"})


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    text = "MAX_DRAWDOWN=20\nPRO_MOD=1\nPRO_MODE=x\nKELLY_WEIGHT=z\nEQUITY_WEIGHT=0.9\n???\n"
    lines = message_for(tmp_path, text).splitlines()
    # KELLY_WEIGHT cannot be read, so the sum of the weights is not judged on its default.
    assert lines == [
        "5 problems in the settings:",
        "- .env line 2: there is no setting 'PRO_MOD'; did you mean PRO_MODE?",
        "- .env line 6: must be NAME=value, was something else (not shown); "
        "a value of several lines belongs into double quotes",
        "- PRO_MODE (.env line 3): must be True or False, was 'x'",
        f"- MAX_DRAWDOWN (.env line 1): must be a percent from 1 to 12, was '20'; {TIGHTEN}",
        "- KELLY_WEIGHT (.env line 4): must be a fraction from 0 to 1, was 'z'",
    ]


def test_long_value_is_shortened_and_stays_on_one_line(tmp_path: Path) -> None:
    message = message_for(tmp_path, 'PRO_MODE="' + "ab\n" * 1000 + '"\n')
    assert message.endswith("...")
    assert "\n" not in message
    assert len(message) < 150


def test_huge_number_is_refused_and_not_computed(tmp_path: Path) -> None:
    assert "must be a whole number from 1 to 20" in message_for(tmp_path, "MAX_POSITIONS=" + "9" * 5000)
