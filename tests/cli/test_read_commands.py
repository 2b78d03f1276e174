from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from account_samples import NOW, write_account

from bot.domain.modes import EngineMode, TradingMode
from bot.domain.snapshot import SNAPSHOT_KEY
from bot.ports import EquityPoint
from bot.storage.ledger import SqliteLedger
from bot.storage.lock import ModeLock
from bot.storage.modes import STATE_FILE_NAME, ledger_path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("ccxt", "numpy", "loguru", "rich", "asyncio", "tenacity", "logging")


def bot(folder: Path, *arguments: str, program: str = "bot.py", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder, without the settings of whoever runs the tests."""
    return subprocess.run(
        [sys.executable, str(ROOT / program), *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8", "BOT_RESTARTED": "1", **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The folder of a state with a paper account."""
    write_account(tmp_path)
    return tmp_path


# -- the entrance


def test_help_lists_every_command_and_imports_none_of_them(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from bot.cli.main import COMMANDS, main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as e:\n    assert e.code == 0, e.code\n"
        "mine = [name for name in sys.modules if name.startswith('bot.')]\n"
        "assert set(mine) == {'bot.cli', 'bot.cli.main', 'bot.domain', 'bot.domain.errors'}, mine\n"
        "print('commands', *COMMANDS)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    *help_lines, commands = run.stdout.splitlines()
    listed = [line.split()[0] for line in help_lines[help_lines.index("Commands:") + 1 :]]
    assert listed == commands.split()[1:]
    assert help_lines.index("  Examples:") < help_lines.index("Options:")


@pytest.mark.parametrize("name", ["backtest", "costs", "montecarlo"])
def test_help_shows_examples_on_lines_of_their_own(name: str) -> None:
    from click.testing import CliRunner

    from bot.cli.main import main

    lines = CliRunner().invoke(main, [name, "--help"]).stdout.splitlines()
    assert lines[lines.index("  Example:") + 1].startswith(f"    python bot.py {name} ")


def test_every_command_can_be_imported_and_helps() -> None:
    from click.testing import CliRunner

    from bot.cli.main import COMMANDS, main

    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])
        assert (result.exit_code, result.output[:6]) == (0, "Usage:"), (name, result.output)


def test_command_misspelt_is_wrong_usage_with_a_suggestion(tmp_path: Path) -> None:
    run = bot(tmp_path, "statsu")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines()[-1] == "Error: No such command 'statsu'. Did you mean 'status'?"
    assert "There are: run, status," in bot(tmp_path, "xyzzy").stderr


def test_options_without_a_command_go_to_run(tmp_path: Path) -> None:
    run = bot(tmp_path, "--no-such-option")
    assert run.returncode == 2
    assert run.stderr.startswith("Usage: bot.py run ")


def test_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    import bot.cli.status
    from bot.cli.main import main

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bot.cli.status, "settings_for_looking", interrupt)
    result = CliRunner().invoke(main, ["status"])
    assert (result.exit_code, result.output) == (130, "Interrupted.\n")


def test_version_is_the_projects() -> None:
    assert f'version = "{bot(ROOT, "--version").stdout.strip()}"' in (ROOT / "pyproject.toml").read_text()


def test_config_with_a_wrong_setting_ends_with_78_and_no_traceback(account: Path) -> None:
    run = bot(account, "config", MIN_SIGNAL_SCORE="7")
    assert (run.returncode, run.stdout) == (78, "")
    assert run.stderr.startswith("Error: MIN_SIGNAL_SCORE (environment variable): must be ")


@pytest.mark.parametrize("command", ["status", "trades", "refusals"])
def test_looking_with_a_wrong_setting_warns_and_looks(account: Path, command: str) -> None:
    run = bot(account, command, MIN_SIGNAL_SCORE="7")
    assert run.returncode in (0, 4)
    assert run.stderr.startswith("WARNING: MIN_SIGNAL_SCORE (environment variable): must be ")
    assert "Traceback" not in run.stderr
    assert run.stdout


def test_output_onto_a_full_disk_is_told_without_a_traceback(account: Path) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, str(ROOT / "bot.py"), "status"],
            check=False,
            cwd=account,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["status", "trades", "refusals"])
def test_nothing_recorded_ends_with_3(tmp_path: Path, command: str) -> None:
    run = bot(tmp_path, command)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr == (
        f"Error: not running and nothing recorded yet in {tmp_path}: start it with `bash scripts/run`\n"
    )
    assert list(tmp_path.iterdir()) == []  # looking leaves nothing behind


def test_unreadable_ledger_ends_with_1_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"this is no database" * 100)
    run = bot(tmp_path, "status")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("Error: ")
    assert "ledger.sqlite3" in run.stderr


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("status", "--json"), ("trades",), ("refusals", "--coin", "BTC"), ("config",), ("receipt",)],
)
def test_reading_commands_load_nothing_heavy(account: Path, arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        f"sys.path[0] = {str(ROOT)!r}\n"
        "from bot.cli.main import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit as e:\n    assert e.code in (None, 0), e.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=account, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.strip() == "[]"


def test_reader_that_goes_away_is_no_error(account: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "BOT_RESTARTED": "1", "PYTHONIOENCODING": "utf-8"}
    for program in ([str(ROOT / "bot.py"), "status"], [str(ROOT / "scripts" / "scaling_summary.py")]):
        reader, writer = os.pipe()
        os.close(reader)
        run = subprocess.run(
            [sys.executable, *program],
            cwd=account,
            env=environment,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        os.close(writer)
        assert run.stderr == ""


# -- status


def test_status_of_an_ended_bot_shows_the_last_cycle(account: Path) -> None:
    run = bot(account, "status")
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[0].strip() == "PAPER: play money at live prices, no real orders"
    assert lines[1] == " ACTIVE · $100.48 · STARTER · today -$0.52"
    assert lines[2].startswith(" Not running, last cycle ")
    assert "NIJA AUTO-SCALING STATUS" in run.stdout
    assert "📜 UPGRADE HISTORY\n   • 2026-02-01 00:01 UTC: UNRANKED → STARTER ($100.00)" in run.stdout
    # 101.00 to 100.48; 100.00 to 101.00
    assert "2026-02-11  -$0.52  -0.51 %  $100.48  $0.00" in run.stdout
    assert "2026-02-10  +$1.00  +1.00 %  $101.00  $0.00" in run.stdout
    assert "since the start: 2 cash buffer, 1 signal too weak" in run.stdout
    assert "\x1b" not in run.stdout


def test_status_json_is_one_object_that_says_whether_it_runs(account: Path) -> None:
    ended = json.loads(bot(account, "status", "--json").stdout)
    assert (ended["mode"], ended["running"], ended["pid"]) == ("PAPER", False, None)
    assert ended["snapshot"]["equity_usd"] == 100.48
    assert ended["tier"]["name"] == "STARTER"
    assert ended["refusal_counts"] == {"cash_buffer": 2, "signal_too_weak": 1}
    with ModeLock(account / "paper", now=NOW, command="run"):
        running = json.loads(bot(account, "status", "--json").stdout)
    assert (running["running"], running["pid"]) == (True, os.getpid())


def test_status_halted_ends_with_4(tmp_path: Path) -> None:
    write_account(tmp_path, engine_mode=EngineMode.HALTED)
    run = bot(tmp_path, "status")
    assert run.returncode == 4
    assert run.stdout.splitlines()[2] == " halted by the user; `resume` ends the halt"


def test_status_mode_chooses_the_account(account: Path) -> None:
    write_account(account, TradingMode.SIMULATED)
    assert bot(account, "status", "--mode", "paper").stdout.startswith(" PAPER")
    assert bot(account, "status", "--mode", "SIMULATED").stdout.startswith(" SIMULATED")
    assert bot(account, "status", "--mode", "replay").returncode == 3
    assert bot(account, "status", "--mode", "dream").returncode == 2


def test_status_before_the_first_cycle_ends_with_3(tmp_path: Path) -> None:
    with SqliteLedger(ledger_path(tmp_path), durable=False):
        pass
    run = bot(tmp_path, "status")
    assert run.returncode == 3
    assert run.stderr.startswith("Error: not running and no cycle of this version recorded yet in ")


def test_status_broken_tier_file_is_passed_over_and_left_alone(account: Path) -> None:
    state_file = account / "paper" / STATE_FILE_NAME
    state_file.write_text("{ not json", encoding="utf-8")
    run = bot(account, "status")
    assert run.returncode == 0
    assert "CURRENT TIER: STARTER" in run.stdout
    assert "UPGRADE HISTORY" not in run.stdout
    assert state_file.read_text(encoding="utf-8") == "{ not json"


def test_status_server_cost_comes_from_the_settings(account: Path) -> None:
    # 12 x 10 = 120 a year, 119 % of 100.48
    run = bot(account, "status", SERVER_COST_USD_MONTH="10", COLUMNS="100")
    assert "$10.00 a month is $120.00 a year, 119 % of this equity" in run.stdout


def test_status_without_utf_8_is_ascii(account: Path) -> None:
    run = bot(account, "status", PYTHONIOENCODING="ascii")
    assert run.returncode == 0
    assert run.stdout.isascii()
    assert "+" + "=" * 74 + "+" in run.stdout


def test_scaling_summary_shows_the_status_from_anywhere(
    account: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from_there = bot(account, program="scripts/scaling_summary.py")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    from_here = bot(elsewhere, program="scripts/scaling_summary.py", STATE_DIR=str(account))
    for run in (from_there, from_here):
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout.splitlines()[1] == " ACTIVE · $100.48 · STARTER · today -$0.52"
    document = json.loads(bot(account, "--json", program="scripts/scaling_summary.py").stdout)
    assert document.keys() == json.loads(bot(account, "status", "--json").stdout).keys()


def test_scaling_summary_needs_no_package(account: Path) -> None:
    # -S: without site-packages, as on a system that has Python and nothing else
    run = subprocess.run(
        [sys.executable, "-S", str(ROOT / "scripts" / "scaling_summary.py")],
        cwd=account,
        env={"PATH": os.environ["PATH"], "BOT_RESTARTED": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_scaling_summary_has_the_exit_codes_of_status(tmp_path: Path) -> None:
    script = "scripts/scaling_summary.py"
    nothing = bot(tmp_path, program=script, STATE_DIR=str(tmp_path))
    assert (nothing.returncode, nothing.stdout) == (3, "")
    assert nothing.stderr.startswith("Error: not running and nothing recorded yet in ")
    write_account(tmp_path, engine_mode=EngineMode.HALTED)
    assert bot(tmp_path, program=script).returncode == 4
    assert bot(tmp_path, program=script, MAX_DRAWDOWN="500").returncode == 78
    assert bot(tmp_path, "--mode", "dream", program=script).returncode == 2


# -- trades


def test_trades_shows_open_and_closed_round_trips(account: Path) -> None:
    run = bot(account, "trades", COLUMNS="100")
    assert (run.returncode, run.stderr) == (0, "")
    # 19.00 - 18.00 - 0.30 = +0.70, 3.9 % of 18.00; fees 0.10 + 0.20 + 0.12
    assert "1 closed: 1 won, 0 lost, net +$0.70. All fees so far: $0.42." in run.stdout
    closed, open_ = run.stdout.splitlines()[-1], run.stdout.splitlines()[5]
    assert closed.split() == [
        *("2026-02-04", "BTC/USD", "coinbase", "$90,000.00", "$95,000.00", "3", "d", "+$0.70", "+3.9", "%", "exit"),
    ]
    assert open_.split() == [
        "2026-02-06",
        "BTC/USD",
        "coinbase",
        "$100,000.00",
        "$99,500.00",
        "-$0.10",
        "-$0.12",
        "$90,000.00",
    ]


@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_trades_no_line_is_too_wide(account: Path, columns: str) -> None:
    lines = bot(account, "trades", COLUMNS=columns).stdout.splitlines()
    assert max(len(line) for line in lines) <= int(columns)
    assert lines[-1].endswith("%") or lines[-1].endswith("exit")


def test_trades_json_has_exact_amounts(account: Path) -> None:
    document = json.loads(bot(account, "trades", "--json").stdout)
    assert document["totals"] == {"trades": 1, "wins": 1, "losses": 0, "net_usd": "0.7000", "fees_usd": "0.42"}
    assert document["closed"] == [
        {
            "account": "coinbase",
            "symbol": "BTC/USD",
            "opened_at": "2026-02-01T00:01:00+00:00",
            "closed_at": "2026-02-04T00:01:00+00:00",
            "quantity": "0.0002",
            "average_entry": "90000.000000000000",
            "average_exit": "95000.000000000000",
            "net_usd": "0.7000",
            "fees_usd": "0.30",
            "closed_by": "exit",
        }
    ]
    assert [position["opened_at"] for position in document["open"]] == ["2026-02-06T00:01:00+00:00"]


def test_trades_of_another_coin_are_none(account: Path) -> None:
    document = json.loads(bot(account, "trades", "--json", "--coin", "eth").stdout)
    assert (document["closed"], document["open"], document["totals"]["trades"]) == ([], [], 1)
    assert len(json.loads(bot(account, "trades", "--json", "--coin", "btc").stdout)["closed"]) == 1
    assert "All coins: 1 closed: " in bot(account, "trades", "--coin", "eth").stdout  # the sums are not narrowed
    assert "All coins" not in bot(account, "trades").stdout


# -- refusals


def codes(run: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    return [(one["at"][:10], one["code"]) for one in json.loads(run.stdout)["refusals"]]


def test_refusals_are_in_words_newest_first(account: Path) -> None:
    run = bot(account, "refusals")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[2:6] == [
        "2026-02-10 " + "─" * 69,
        "   00:01 UTC  ETH/USD on coinbase  cash_buffer ($18.20 not bought)",
        "      Above the cash buffer there is $3.21; the smallest order is $5.00.",
        "      What would change it: a sale, or a deposit.",
    ]
    assert codes(bot(account, "refusals", "--json")) == [
        ("2026-02-10", "cash_buffer"),
        ("2026-02-05", "cash_buffer"),
        ("2026-02-02", "signal_too_weak"),
    ]


@pytest.mark.parametrize(
    ("arguments", "days"),
    [
        (("--limit", "1"), ["2026-02-10"]),
        (("--code", "signal_too_weak"), ["2026-02-02"]),
        (("--coin", "btc"), ["2026-02-05", "2026-02-02"]),
        (("--coin", "BTC/USD", "--limit", "1"), ["2026-02-05"]),
        (("--since", "2026-02-05"), ["2026-02-10", "2026-02-05"]),
        (("--coin", "SOL"), []),
    ],
)
def test_refusals_filters_narrow_the_list(account: Path, arguments: tuple[str, ...], days: list[str]) -> None:
    assert [day for day, _ in codes(bot(account, "refusals", "--json", *arguments))] == days


def test_refusals_since_a_span_counts_from_the_last_cycle(account: Path) -> None:
    # the last cycle was on 2026-02-11 00:01: two days before it are 2026-02-09
    assert codes(bot(account, "refusals", "--json", "--since", "2d")) == [("2026-02-10", "cash_buffer")]
    assert codes(bot(account, "refusals", "--json", "--since", "23h")) == []


def test_refusals_wrong_since_is_wrong_usage(account: Path) -> None:
    run = bot(account, "refusals", "--since", "yesterday")
    assert run.returncode == 2
    assert "'yesterday' must be a date such as 2026-01-31, or a span such as 7d or 12h" in run.stderr


# -- config


def test_config_shows_values_with_origin_and_masks_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_POSITIONS=1\nSMTP_HOST=x\n", encoding="utf-8")
    run = bot(tmp_path, "config", KRAKEN_MASTER_API_SECRET="hunter2", PAPER_EQUITY="250")
    assert (run.returncode, run.stderr) == (0, "")
    values = {line.split()[0]: " ".join(line.split()[1:]) for line in run.stdout.splitlines() if line.strip()}
    assert values["MAX_POSITIONS"] == "1 (.env line 1)"
    assert values["PAPER_EQUITY"] == "250 USD (environment)"
    assert values["RISK_PER_TRADE"] == "the tier's"
    assert "hunter2" not in run.stdout
    assert "KRAKEN_MASTER_API_SECRET" in values
    assert "] no effect yet: " in run.stdout
    assert "Not used by this program: SMTP_HOST" in run.stdout


def test_config_json_has_every_setting(tmp_path: Path) -> None:
    from bot.settings_schema import SETTINGS

    document = json.loads(bot(tmp_path, "config", "--json", KRAKEN_MASTER_API_SECRET="hunter2").stdout)
    assert list(document) == list(SETTINGS)
    assert document["MAX_DRAWDOWN"].keys() == {"value", "unit", "origin", "help", "effect"}
    assert "hunter2" not in json.dumps(document)


# -- receipt


def test_receipt_of_the_account_is_that_of_its_status(account: Path) -> None:
    found = json.loads(bot(account, "receipt", "--json").stdout)
    assert (found["put_in_usd"], found["worth_usd"]) == (100.0, 100.48)
    # 10 days of 60 a year; a round trip of 18.00 that netted 0.70
    assert found["bot"] == pytest.approx(
        {
            "gross_usd": 0.90,
            "fees_usd": 0.42,
            "net_usd": 0.48,
            "server_usd": 1.642710,
            "after_server_usd": -1.162710,
            "worst_fall_pct": 100 * (1 - 100.48 / 101),
        },
        abs=1e-6,
    )
    assert (found["luck"]["trades"], found["luck"]["mean_pct"]) == (1, pytest.approx(100 * 0.70 / 18))


def test_receipt_follows_the_last_cycle_where_coins_are_missing_and_a_clock_ran_ahead(account: Path) -> None:
    with SqliteLedger(ledger_path(account / "paper"), durable=False) as ledger:
        snapshot: Any = ledger.value(SNAPSHOT_KEY)
        snapshot["deposits_usd"] = 92.5  # coins of $7.50 are not there
        ledger.set_value(SNAPSHOT_KEY, snapshot)
        ahead = EquityPoint(
            at=NOW + timedelta(days=900),
            equity=1.0,
            cash=1.0,
            performance_index=0.01,
            high_water_mark=1.01,
            exposure_frac=0.0,
            fresh=True,
        )
        ledger.record_equity(ahead)
    found = json.loads(bot(account, "receipt", "--json").stdout)
    assert (found["as_of"], found["put_in_usd"], found["worth_usd"]) == (NOW.isoformat(), 92.5, 100.48)
    assert found["bot"]["net_usd"] == pytest.approx(7.98, abs=1e-9)
