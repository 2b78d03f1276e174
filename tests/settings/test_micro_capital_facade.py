"""The guide's micro capital API: its snippets, its tables, and that it never overrides the user."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.domain.tier import ScalingTier
from bot.micro_capital_config import (
    MICRO_CAPITAL_CONFIG,
    NoTierError,
    apply_micro_capital_config,
    get_config_summary,
    get_dynamic_config,
    get_environment_variables,
)
from bot.scaling.ladder import SCALING_TIERS
from bot.settings import Settings, load_settings
from bot.settings_schema import ALIASES, GUIDE_NAMES, SETTINGS

ROOT = Path(__file__).resolve().parents[2]
NEVER_SET = {
    "LIVE_TRADING",
    "MAX_POSITIONS",
    "RISK_PER_TRADE",
    "COPY_TRADING",
    "LEVERAGE_ENABLED",
    "MAX_CONCURRENT_POSITIONS",
    "COPY_TRADING_MODE",
}


@pytest.fixture
def clean_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, and an environment without settings that is restored afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in [*SETTINGS, *ALIASES]:
        # Setting before deleting makes monkeypatch remember that the name was not there.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def run_python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False)


def test_base_config_has_the_guides_names_and_values() -> None:
    assert set(MICRO_CAPITAL_CONFIG) == {name.lower() for name in GUIDE_NAMES}
    assert MICRO_CAPITAL_CONFIG["max_positions"] == 2
    assert MICRO_CAPITAL_CONFIG["risk_per_trade"] == 3.0
    assert MICRO_CAPITAL_CONFIG["max_position_pct"] == 18.0
    assert MICRO_CAPITAL_CONFIG["mode"] == "MASTER_ONLY"
    assert type(MICRO_CAPITAL_CONFIG["mode"]) is str
    assert type(MICRO_CAPITAL_CONFIG["min_trade_size"]) is float
    assert MICRO_CAPITAL_CONFIG["trade_only"] == ["BTC", "ETH", "SOL"]
    for name in (
        "copy_trading",
        "arbitrage",
        "reset_strategy_state",
        "clear_entry_blocks",
        "flush_cached_balances",
    ):
        assert MICRO_CAPITAL_CONFIG[name] is False
    assert MICRO_CAPITAL_CONFIG["log_signal_rejections"] is True
    assert MICRO_CAPITAL_CONFIG["log_entry_block_reasons"] is True


def test_base_config_begins_where_the_ladder_does() -> None:
    assert MICRO_CAPITAL_CONFIG["min_balance_to_trade"] == SCALING_TIERS[0].min_equity


@pytest.mark.parametrize(
    ("equity", "values"),
    [
        (15, (2, 3.0, False, False)),
        (249.99, (2, 3.0, False, False)),
        (250.0, (3, 4.0, False, False)),
        (Decimal(500), (4, 4.0, True, False)),
        (1500.0, (6, 5.0, True, True)),
    ],
)
def test_dynamic_config_follows_the_guides_table(equity: float, values: tuple[int, float, bool, bool]) -> None:
    config = get_dynamic_config(equity)
    assert tuple(config.values()) == values
    assert list(config) == ["max_positions", "risk_per_trade", "copy_trading", "leverage_enabled"]


@pytest.mark.parametrize("equity", [math.nan, math.inf, -math.inf, -1.0, 0.0, 14.99, Decimal("NaN")])
def test_equity_without_tier_is_refused_with_a_reason(clean_place: Path, equity: float) -> None:
    before = dict(os.environ)
    for call in (get_dynamic_config, apply_micro_capital_config, get_environment_variables, get_config_summary):
        with pytest.raises(NoTierError, match=r"^No tier found for equity .*: must be a finite number of dollars, 15"):
            call(equity)
    assert dict(os.environ) == before
    assert issubclass(NoTierError, ValueError)
    assert issubclass(NoTierError, ConfigError)


def test_custom_tier_of_the_guide_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    custom = ScalingTier(
        name="CUSTOM",
        min_equity=2000.0,
        max_equity=None,
        max_positions=8,
        risk_per_trade=6.0,
        copy_trading=True,
        leverage_enabled=True,
        description="Custom tier for experienced traders",
    )
    SCALING_TIERS.append(custom)
    try:
        assert get_dynamic_config(2000.0)["max_positions"] == 8
        assert load_settings(env_file=None, environ=get_environment_variables(2000.0)).risk_per_trade == 6.0
    finally:
        SCALING_TIERS.remove(custom)


def test_environment_variables_are_strings_under_both_names() -> None:
    variables = get_environment_variables(500.0)
    assert set(variables) == set(GUIDE_NAMES) | ALIASES
    assert all(type(value) is str for value in variables.values())
    assert (variables["MAX_POSITIONS"], variables["MAX_CONCURRENT_POSITIONS"]) == ("4", "4")
    assert (variables["COPY_TRADING"], variables["COPY_TRADING_MODE"]) == ("True", "MASTER_FOLLOW")
    assert (variables["MINIMUM_TRADING_BALANCE"], variables["MIN_CASH_TO_BUY"]) == ("15", "5")
    assert get_environment_variables()["COPY_TRADING_MODE"] == "INDEPENDENT"
    assert get_environment_variables()["MAX_POSITIONS"] == "2"


@pytest.mark.parametrize("equity", [None, 15.0, 250.0, 500.0, 1000.0])
def test_environment_variables_load_back_as_settings(equity: float | None) -> None:
    variables = get_environment_variables(equity)
    settings = load_settings(env_file=None, environ=variables)
    assert settings.max_positions == int(variables["MAX_POSITIONS"])
    assert settings.max_position_pct == 18.0


def test_apply_returns_the_guides_keys(clean_place: Path) -> None:
    config = apply_micro_capital_config(equity=500.0, set_env_vars=True)
    assert list(config) == ["base_config", "dynamic_config", "environment_variables", "current_equity"]
    assert config["base_config"] == MICRO_CAPITAL_CONFIG
    assert config["base_config"] is not MICRO_CAPITAL_CONFIG
    assert config["dynamic_config"]["max_positions"] == 4
    assert config["dynamic_config"]["copy_trading"] is True
    assert config["current_equity"] == 500.0


def test_apply_never_pins_tier_values_or_live_trading(clean_place: Path) -> None:
    config = apply_micro_capital_config(equity=1000.0)
    assert not NEVER_SET & os.environ.keys()
    for name in config["environment_variables"].keys() - NEVER_SET:
        assert os.environ[name] == config["environment_variables"][name]
    assert load_settings(env_file=None, environ=os.environ) == Settings()


def test_apply_without_setting_leaves_the_environment(clean_place: Path) -> None:
    before = dict(os.environ)
    result = apply_micro_capital_config(equity=1500.0, set_env_vars=False)
    assert dict(os.environ) == before
    assert result["environment_variables"]["MAX_POSITIONS"] == "6"


def test_apply_keeps_what_the_user_set(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_DRAWDOWN", "8")
    (clean_place / ".env").write_text(
        "DAILY_MAX_LOSS=4\nLIVE_TRADING=False\nMAX_POSITIONS=1\nKELLY_WEIGHT=0\nVOLATILITY_WEIGHT=1\nEQUITY_WEIGHT=0\n"
    )
    before = load_settings(env_file=Path(".env"), environ=os.environ)
    apply_micro_capital_config(equity=250.0)
    after = load_settings(env_file=Path(".env"), environ=os.environ)
    assert after == before
    assert (after.max_drawdown, after.daily_max_loss, after.max_positions) == (8.0, 4.0, 1)
    assert after.live_trading is False
    assert after.origins["DAILY_MAX_LOSS"] == ".env line 1"
    assert after.origins["FORCE_CASH_BUFFER"] == "environment"


def test_apply_with_unreadable_env_file_sets_nothing(clean_place: Path) -> None:
    (clean_place / ".env").mkdir()
    before = dict(os.environ)
    with pytest.raises(ConfigError, match="was a directory"):
        apply_micro_capital_config()
    assert dict(os.environ) == before


def test_summary_names_tier_and_every_parameter() -> None:
    summary = get_config_summary(750.0)
    assert summary.startswith("MICRO CAPITAL CONFIGURATION, tier ADVANCED at $750.00\n")
    assert all(name in summary for name in GUIDE_NAMES)
    assert "RISK_PER_TRADE           4.0 %  (tier)" in summary
    assert get_config_summary().startswith("MICRO CAPITAL CONFIGURATION, tier STARTER\n")


def test_import_loads_nothing_but_the_standard_library() -> None:
    program = (
        "import sys, bot.micro_capital_config\n"
        "heavy = {'ccxt', 'click', 'rich', 'loguru', 'dotenv', 'numpy', 'tenacity'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    done = run_python("-c", program)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_liner_of_the_guide_prints() -> None:
    done = run_python(
        "-X",
        "utf8",
        "-c",
        "from bot.micro_capital_config import MICRO_CAPITAL_CONFIG; print('Config loaded')",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Config loaded\n", "")


def test_file_run_by_its_path_prints_the_summary(tmp_path: Path) -> None:
    done = run_python(str(ROOT / "bot" / "micro_capital_config.py"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == get_config_summary() + "\n"


def test_script_passes_from_anywhere_whatever_stands_there(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_DRAWDOWN=broken\n")
    done = run_python(str(ROOT / "scripts" / "test_micro_capital_config.py"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout


def test_script_fails_when_a_value_differs(tmp_path: Path) -> None:
    program = (
        f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r})\n"
        "import bot.micro_capital_config as config\n"
        "config.MICRO_CAPITAL_CONFIG['max_position_pct'] = 0.18\n"
        f"runpy.run_path({str(ROOT / 'scripts' / 'test_micro_capital_config.py')!r}, run_name='__main__')"
    )
    done = run_python("-c", program, cwd=tmp_path)
    assert done.returncode == 1
    assert "FAIL  check_parameters: differs from the guide: max_position_pct" in done.stdout


def test_facade_on_a_bare_python_reads_the_names_of_an_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nexport MIN_TRADE_SIZE=7\nTRADE_ONLY=BTC\n", encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules['dotenv'] = sys.modules['dotenv.parser'] = None\n"
        "from bot.micro_capital_config import apply_micro_capital_config\n"
        "import os\n"
        "apply_micro_capital_config(equity=500.0)\n"
        "print('MIN_TRADE_SIZE' in os.environ, 'TRADE_ONLY' in os.environ, 'DAILY_MAX_LOSS' in os.environ)\n"
    )
    environ = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "False False True\n"), done.stderr
