"""The guide's API: its snippets as they are printed there, the demo and the script."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from decimal import Decimal
from pathlib import Path

import pytest
from freezegun import freeze_time

from bot import auto_scaling_config
from bot.auto_scaling_config import (
    SCALING_TIERS,
    UNRANKED,
    AutoScalingEngine,
    auto_scale,
    get_auto_scaling_engine,
    get_current_tier_info,
    get_scaling_summary,
    integrate_with_broker_manager,
)
from bot.domain.errors import StateFileError
from bot.scaling.ladder import SCALING_TIERS as LADDER

ROOT = Path(__file__).resolve().parents[2]
STATE_FILE = ".auto_scaling_state.json"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and give the ladder back as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIR", raising=False)
    tiers = list(SCALING_TIERS)
    yield tmp_path
    SCALING_TIERS[:] = tiers


class Broker:
    def __init__(self, balance: object) -> None:
        self.balance = balance

    def get_balance(self) -> object:
        if isinstance(self.balance, Exception):
            raise self.balance
        return self.balance


class Brokers:
    def __init__(self, brokers: object) -> None:
        self.brokers = brokers


class Total:
    def __init__(self, balance: object) -> None:
        self.get_total_balance = Broker(balance).get_balance


def run_snippet(snippet: str, **names: object) -> str:
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile(snippet, "<guide>", "exec"), names)
    return output.getvalue()


def run_program(*arguments: str, cwd: str = "/", **environment: str) -> subprocess.CompletedProcess[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STATE_DIR"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=inherited | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


# -- the guide's snippets ----------------------------------------------------------------------------

QUICK_START = """
from bot.auto_scaling_config import auto_scale, get_scaling_summary

# Get your current balance
current_balance = 250.0  # Example: $250

# Apply auto-scaling configuration
scaled, old_tier, new_tier = auto_scale(current_balance)

if scaled:
    print(f"🔥 Upgraded from {old_tier} to {new_tier}!")

# View current status
print(get_scaling_summary())
"""

TIER_DETECTION = """
from bot.auto_scaling_config import get_auto_scaling_engine

engine = get_auto_scaling_engine()

# Automatically check and scale based on current balance
balance = broker.get_balance()
scaled, old_tier, new_tier = engine.check_and_scale(balance)

if scaled:
    print(f"🔥 AUTO-SCALING: {old_tier.name} → {new_tier.name}")
"""

PROGRESS = """
# Get progress to next tier
progress = engine.get_progress_to_next_tier()

if progress:
    print(f"Current: ${progress['current_equity']:.2f}")
    print(f"Next tier: {progress['next_tier']['name']} at ${progress['next_tier']['min_equity']:.2f}")
    print(f"Progress: {progress['progress_pct']:.1f}%")
    print(f"Equity needed: ${progress['equity_needed']:.2f}")
"""

HISTORY = """
# View upgrade history
history = engine.state_manager.get_upgrade_history()

for upgrade in history:
    print(f"{upgrade['timestamp']}: {upgrade['from_tier']} → {upgrade['to_tier']} (${upgrade['equity']:.2f})")
"""

INTEGRATION = """
from bot.auto_scaling_config import integrate_with_broker_manager

# Automatically integrate with your broker manager
success = integrate_with_broker_manager(broker_manager)

# Auto-scaling will now check and apply upgrades based on total balance
print(success)
"""

CUSTOM_TIER = """
from bot.auto_scaling_config import ScalingTier, SCALING_TIERS

# Add custom tier (advanced users only)
custom_tier = ScalingTier(
    name="CUSTOM",
    min_equity=2000.0,
    max_equity=None,
    max_positions=8,
    risk_per_trade=6.0,
    copy_trading=True,
    leverage_enabled=True,
    description="Custom tier for experienced traders"
)

SCALING_TIERS.append(custom_tier)
"""


def test_guide_quick_start_announces_once_and_shows_the_box() -> None:
    first, second = run_snippet(QUICK_START), run_snippet(QUICK_START)
    assert first.startswith("🔥 Upgraded from None to GROWTH!\n╔═══")
    assert "💰 CURRENT EQUITY: $250.00" in first
    assert "📈 NEXT TIER: ADVANCED\n   • Unlocks at: $500.00\n   • Progress: 50.0%" in first
    assert second == first.removeprefix("🔥 Upgraded from None to GROWTH!\n")


def test_guide_tier_detection_prints_names_from_unranked_on() -> None:
    assert run_snippet(TIER_DETECTION, broker=Broker(100.0)) == "🔥 AUTO-SCALING: UNRANKED → STARTER\n"
    assert run_snippet(TIER_DETECTION, broker=Broker(500.0)) == "🔥 AUTO-SCALING: STARTER → ADVANCED\n"
    assert run_snippet(TIER_DETECTION, broker=Broker(None)) == ""


def test_guide_progress_at_750_prints_75_percent() -> None:
    engine = AutoScalingEngine()
    engine.check_and_scale(750.0)
    assert run_snippet(PROGRESS, engine=engine) == (
        "Current: $750.00\nNext tier: ELITE at $1000.00\nProgress: 75.0%\nEquity needed: $250.00\n"
    )


def test_guide_history_prints_each_change() -> None:
    engine = AutoScalingEngine()
    with freeze_time("2026-01-30 06:00:00"):
        engine.check_and_scale(100.0)
        engine.check_and_scale(500.0)
    assert run_snippet(HISTORY, engine=engine) == (
        "2026-01-30T06:00:00+00:00: None → STARTER ($100.00)\n2026-01-30T06:00:00+00:00: STARTER → ADVANCED ($500.00)\n"
    )


def test_guide_integration_checks_the_total() -> None:
    assert run_snippet(INTEGRATION, broker_manager=Total(600.0)) == "True\n"
    assert get_auto_scaling_engine().current_tier.name == "ADVANCED"


def test_guide_custom_tier_wins_from_its_threshold_on() -> None:
    engine = AutoScalingEngine()
    engine.check_and_scale(1500.0)
    run_snippet(CUSTOM_TIER)
    following = engine.get_next_tier()
    assert following is not None
    assert following.name == "CUSTOM"
    assert run_snippet(PROGRESS, engine=engine).splitlines()[2] == "Progress: 75.0%"  # 1500 / 2000
    scaled, old, new = engine.check_and_scale(2500.0)
    assert (scaled, old.name, new.name) == (True, "ELITE", "CUSTOM")
    assert engine.get_next_tier() is None
    assert engine.get_progress_to_next_tier() is None
    assert "Max Positions: 8" in engine.get_scaling_summary()


def test_guide_summary_functions_print_the_process_wide_engine() -> None:
    auto_scale(750.0)
    assert get_scaling_summary() == get_auto_scaling_engine().get_scaling_summary()
    assert "🎯 CURRENT TIER: ADVANCED\n   • Advanced features with copy trading enabled\n" in get_scaling_summary()


# -- the engine --------------------------------------------------------------------------------------


def test_engine_before_the_first_check_is_unranked_and_closed(own_folder: Path) -> None:
    engine = AutoScalingEngine()
    assert engine.current_tier is UNRANKED
    assert not engine.current_tier
    assert engine.current_tier.name == "UNRANKED"
    assert engine.current_equity == 0.0
    assert engine.state_manager.get_current_tier() is None
    assert engine.state_manager.get_upgrade_history() == []
    assert engine.get_current_config() == {
        "tier": "UNRANKED",
        "name": "UNRANKED",
        "max_positions": 0,
        "risk_per_trade": 0.0,
        "copy_trading": False,
        "leverage_enabled": False,
    }
    assert list(own_folder.iterdir()) == []


def test_engine_after_a_check_knows_tier_equity_and_config() -> None:
    engine = AutoScalingEngine()
    assert engine.check_and_scale(750.0) == (True, UNRANKED, SCALING_TIERS[2])
    assert engine.current_tier == SCALING_TIERS[2]
    assert engine.current_equity == 750.0
    assert engine.get_tier_for_equity(400.0) == SCALING_TIERS[1]
    assert engine.get_tier_for_equity(10.0) is None
    assert engine.get_next_tier() == SCALING_TIERS[3]
    config = engine.get_current_config()
    assert (config["tier"], config["max_positions"], config["risk_per_trade"]) == ("ADVANCED", 4, 4.0)


def test_engine_downgrade_is_not_scaled_but_recorded() -> None:
    engine = AutoScalingEngine()
    engine.check_and_scale(260.0)
    scaled, old, new = engine.check_and_scale(230.0)
    assert (scaled, old.name, new.name) == (False, "GROWTH", "STARTER")
    assert engine.state_manager.get_upgrade_history()[-1]["direction"] == "down"


def test_engine_restart_continues_and_announces_nothing_twice(
    own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    AutoScalingEngine().check_and_scale(300.0)
    caplog.clear()  # the first engine's own announcement, where another test has left logging switched on
    with caplog.at_level(logging.INFO, "bot.auto_scaling"):
        engine = AutoScalingEngine()
        assert engine.current_tier.name == "GROWTH"
        scaled, old, new = engine.check_and_scale(300.0)
    assert (scaled, old.name, new.name) == (False, "GROWTH", "GROWTH")
    assert caplog.text == ""
    document = json.loads((own_folder / STATE_FILE).read_text(encoding="utf-8"))
    assert list(document) == ["schema_version", "current_tier", "last_equity", "last_upgrade_time", "upgrade_history"]


def test_engine_with_deleted_state_file_starts_afresh(own_folder: Path) -> None:
    engine = AutoScalingEngine("other.json")
    engine.check_and_scale(300.0)
    (own_folder / "other.json").unlink()
    assert engine.current_tier is UNRANKED
    assert engine.check_and_scale(300.0)[0]


def test_engine_with_misshapen_state_file_sets_it_aside(own_folder: Path) -> None:
    (own_folder / STATE_FILE).write_text('{"upgrade_history": 3}', encoding="utf-8")
    assert AutoScalingEngine().current_tier is UNRANKED
    assert (own_folder / f"{STATE_FILE}.unreadable-1").exists()


def test_engine_that_cannot_save_announces_nothing(caplog: pytest.LogCaptureFixture, own_folder: Path) -> None:
    engine = AutoScalingEngine("state/tier.json")
    (own_folder / "state").write_text("", encoding="utf-8")  # a file where the folder should be made
    with caplog.at_level(logging.INFO, "bot.auto_scaling"), pytest.raises(StateFileError, match=r"tier\.json"):
        engine.check_and_scale(300.0)
    assert caplog.text == ""


@pytest.mark.parametrize("equity", [None, "much", float("nan"), float("inf"), -1.0, True, {"USD": 300}, 10**400])
def test_engine_with_unusable_equity_changes_nothing_and_says_why(
    equity: object, own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = AutoScalingEngine()
    engine.check_and_scale(300.0)
    before = (own_folder / STATE_FILE).read_bytes()
    scaled, old, new = engine.check_and_scale(equity, force=True)
    assert (scaled, old.name, new.name) == (False, "GROWTH", "GROWTH")
    assert (own_folder / STATE_FILE).read_bytes() == before
    assert "No tier found for equity" in caplog.text


@pytest.mark.parametrize("equity", [300, Decimal(300), "300.0"])
def test_engine_takes_every_form_in_which_brokers_give_numbers(equity: object) -> None:
    engine = AutoScalingEngine()
    assert engine.check_and_scale(equity)[2].name == "GROWTH"
    assert engine.current_equity == 300.0


# -- functions ---------------------------------------------------------------------------------------


def test_auto_scale_gives_names_with_none_for_no_tier() -> None:
    assert auto_scale(10.0) == (False, None, None)
    assert auto_scale(250.0) == (True, None, "GROWTH")
    assert auto_scale(240.0) == (False, "GROWTH", "GROWTH")
    assert auto_scale(240.0, force=True) == (True, "GROWTH", "STARTER")


def test_process_wide_engine_is_one_and_lies_in_the_state_folder(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get_auto_scaling_engine() is get_auto_scaling_engine()
    auto_scale(100.0)
    monkeypatch.setenv("STATE_DIR", str(own_folder / "state"))
    assert not get_auto_scaling_engine().current_tier
    auto_scale(500.0)
    monkeypatch.delenv("STATE_DIR")
    assert get_auto_scaling_engine().current_tier.name == "STARTER"
    assert (own_folder / "state" / STATE_FILE).exists()


def test_current_tier_info_has_config_equity_and_progress() -> None:
    auto_scale(750.0)
    info = get_current_tier_info()
    assert (info["tier"], info["current_equity"], info["max_positions"]) == ("ADVANCED", 750.0, 4)
    assert info["progress"] == get_auto_scaling_engine().get_progress_to_next_tier()


@pytest.mark.parametrize(
    "manager",
    [
        Total(260.0),
        Total(Decimal("260.00")),
        Brokers({"coinbase": Broker(240.0), "kraken": Broker(20)}),
        Brokers([Broker("240"), Broker(Decimal(20))]),
    ],
)
def test_integration_with_known_balances_checks_their_sum(manager: object) -> None:
    assert integrate_with_broker_manager(manager) is True
    assert get_auto_scaling_engine().current_equity == 260.0
    assert get_auto_scaling_engine().current_tier.name == "GROWTH"


@pytest.mark.parametrize(
    "manager",
    [
        Total(None),
        Total(float("nan")),
        Total(-3.0),
        Total(TimeoutError("no answer")),
        Brokers({"coinbase": Broker(2000.0), "kraken": Broker(None)}),
        Brokers([Broker(2000.0), Broker(float("inf"))]),
        Brokers([Broker(2000.0), Broker(ConnectionError("down"))]),
        Brokers([Broker(2000.0), None]),
        Brokers({}),
        Brokers(None),
        object(),
        None,
    ],
)
def test_integration_with_unknown_balance_is_false_and_changes_nothing(
    manager: object, own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    auto_scale(300.0)
    before = (own_folder / STATE_FILE).read_bytes()
    assert integrate_with_broker_manager(manager) is False
    assert (own_folder / STATE_FILE).read_bytes() == before
    assert "balance unknown, nothing changes" in caplog.text


# -- log ---------------------------------------------------------------------------------------------


@freeze_time("2026-01-30 06:00:00")
def test_log_without_logging_set_up_is_the_guides_lines_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest installs handlers on the root logger; a plain script has none.
    monkeypatch.setattr(logging.getLogger("bot.auto_scaling"), "propagate", False)
    output = io.StringIO()
    with redirect_stderr(output):
        AutoScalingEngine().check_and_scale(500.0)
    assert output.getvalue().splitlines() == [
        "2026-01-30 06:00:00 | INFO | AUTO-SCALING UPGRADE: $500.00 → ADVANCED tier",
        "2026-01-30 06:00:00 | INFO |    Max Positions: 4",
        "2026-01-30 06:00:00 | INFO |    Risk Per Trade: 4.0%",
        "2026-01-30 06:00:00 | INFO |    Copy Trading: True",
        "2026-01-30 06:00:00 | INFO |    Leverage: False",
    ]


def test_log_with_logging_set_up_goes_there_only(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = AutoScalingEngine()
    with caplog.at_level(logging.INFO, "bot.auto_scaling"):
        engine.check_and_scale(500.0)
        engine.check_and_scale(470.0)
        engine.check_and_scale(470.0, force=True)
    assert [message for message in caplog.messages if not message.startswith("   ")] == [
        "AUTO-SCALING UPGRADE: $500.00 → ADVANCED tier",
        "AUTO-SCALING DOWNGRADE: $470.00 → GROWTH tier",
        "AUTO-SCALING CONFIRMED: $470.00 → GROWTH tier",
    ]
    assert capsys.readouterr().err == ""


def test_log_below_the_floor_says_that_nothing_is_opened(caplog: pytest.LogCaptureFixture) -> None:
    auto_scale(15.0)
    auto_scale(13.0)
    assert caplog.messages[-1] == "AUTO-SCALING: $13.00 stays in STARTER; below the floor of $13.20 nothing is opened"


# -- programs ----------------------------------------------------------------------------------------


def test_facade_offers_the_ladder_itself_and_names_that_exist() -> None:
    assert SCALING_TIERS is LADDER
    assert all(hasattr(auto_scaling_config, name) for name in auto_scaling_config.__all__)


def test_facade_import_needs_the_standard_library_only() -> None:
    code = "import sys; sys.path[0] = sys.argv[1]; import bot.auto_scaling_config; print(*sys.modules)"
    result = run_program("-S", "-c", code, str(ROOT))  # -S: without site-packages at all
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.decode().split())
    assert not loaded & {"ccxt", "click", "rich", "loguru", "dotenv", "numpy", "tenacity", "sqlite3"}
    assert {name.split(".")[0] for name in loaded} <= sys.stdlib_module_names | {"bot", "__main__"}


def test_demo_from_the_root_folder_ends_by_itself_and_leaves_nothing(tmp_path: Path) -> None:
    result = run_program(str(ROOT / "bot" / "auto_scaling_config.py"), TMPDIR=str(tmp_path), PYTHONIOENCODING="utf-8")
    assert result.returncode == 0, result.stderr
    output = result.stdout.decode("utf-8")
    assert "None → STARTER ($15.00)" in output
    assert "🎯 CURRENT TIER: ADVANCED" in output
    assert list(tmp_path.iterdir()) == []
    assert not Path("/", STATE_FILE).exists()


def test_demo_on_an_ascii_terminal_does_not_stop(tmp_path: Path) -> None:
    program = str(ROOT / "bot" / "auto_scaling_config.py")
    result = run_program(program, TMPDIR=str(tmp_path), LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "CURRENT TIER: ADVANCED" in result.stdout.decode("ascii")


def test_script_from_the_root_folder_keeps_every_promise(tmp_path: Path) -> None:
    result = run_program(str(ROOT / "scripts" / "test_auto_scaling.py"), TMPDIR=str(tmp_path))
    assert result.returncode == 0, result.stdout
    assert b"8 of 8 promises kept" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "text", "broken"),
    [
        ("scaling/ladder.py", "max_positions=4", "max_positions=5"),
        ("scaling/ladder.py", "ACTIVATION_EQUITY_USD = 15.0", "ACTIVATION_EQUITY_USD = 16.0"),
        ("scaling/transitions.py", "DOWNGRADE_FRAC = 0.95", "DOWNGRADE_FRAC = 0.94"),
        ("auto_scaling_config.py", "self.state_manager.save(after)", "pass"),
    ],
)
def test_script_on_a_broken_promise_fails(tmp_path: Path, file: str, text: str, broken: str) -> None:
    for part in ("__init__.py", "domain", "scaling", "storage", "auto_scaling_config.py"):
        source, target = ROOT / "bot" / part, tmp_path / "bot" / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "test_auto_scaling.py", tmp_path / "scripts")
    changed = tmp_path / "bot" / file
    content = changed.read_text(encoding="utf-8")
    assert text in content
    changed.write_text(content.replace(text, broken), encoding="utf-8")
    result = run_program(str(script))
    assert result.returncode == 1, result.stdout
    assert b"FAILED" in result.stdout
