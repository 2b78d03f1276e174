from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from account_samples import NOW, T0, write_account
from click.testing import CliRunner, Result

from bot import doctor
from bot.cli.main import main
from bot.doctor import check_disk, check_packages, check_python, examine
from bot.domain.account import Fill, Liquidity
from bot.domain.modes import EngineMode, TradingMode
from bot.domain.orders import Side
from bot.domain.snapshot import SNAPSHOT_KEY, SNAPSHOT_SCHEMA_VERSION
from bot.settings import load_settings
from bot.storage import ledger_check
from bot.storage.ledger import SqliteLedger
from bot.storage.ledger_check import LedgerCheck
from bot.storage.ledger_schema import SCHEMA_VERSION
from bot.storage.lock import LOCK_NAME, ModeLock
from bot.storage.modes import PAPER_ACCOUNTS_NAME, STATE_FILE_NAME, ledger_path
from bot.views import doctor_account
from bot.views.doctor_account import check_account
from bot.views.doctor_text import QUICK, Check, Health, fenced, render_doctor
from bot.views.text import Look

ROOT = Path(__file__).resolve().parents[2]
PAPER = "account PAPER"
SECRET = "c2VjcmV0LW5vLW9uZS1zZWVz"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to stand in, and no venue that could be asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bot.cli.doctor.ask_venues", lambda settings, now: [])
    return tmp_path


def run_doctor(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments], env={"COLUMNS": "100", **variables})


def looked(folder: Path, *, now: datetime = NOW, problem: str = "", **values: str) -> dict[tuple[str, str], Check]:
    """What the doctor finds, by area and name."""
    settings = load_settings(env_file=None, environ={}, overrides={"STATE_DIR": str(folder), **values})
    checks = examine(settings=settings, problem=problem, env_file=folder / ".env", now=now, ask=list)
    return {(check.area, check.name): check for check in checks}


def reach_row(account: str, coin: str, **values: object) -> dict[str, object]:
    return {
        "account": account,
        "symbol": f"{coin}/USD",
        "stop_pct": 8.0,
        "order_usd": 18.0,
        "risk_usd": 1.8,
        "risk_pct": 1.79,
        "round_trip_pct": 1.83,
        "round_trip_usd": 0.33,
        "refusal": "",
        "refusal_limit": None,
        "refusal_actual": None,
        "refusal_unit": "",
        "from_equity_usd": 100.48,
        **values,
    }


REACH = [
    reach_row("coinbase", "BTC"),
    reach_row(
        "coinbase",
        "SOL",
        order_usd=0.0,
        risk_usd=0.7,
        risk_pct=0.7,
        round_trip_usd=0.09,
        refusal="below_min_trade",
        refusal_limit=5.0,
        refusal_actual=4.27,
        refusal_unit="usd",
        from_equity_usd=117.66,
    ),
]


def write_snapshot(account: Path, **values: object) -> None:
    """Replace parts of the stored snapshot; the ledger's files get the account's time."""
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        snapshot = ledger.value(SNAPSHOT_KEY)
        assert isinstance(snapshot, dict)
        new = {"strategy": "allocation", "heat_usd": 1.2, "heat_limit_usd": 6.03, "reach": REACH, **values}
        ledger.set_value(SNAPSHOT_KEY, {**snapshot, "schema_version": SNAPSHOT_SCHEMA_VERSION, **new})
    for path in account.glob("ledger.sqlite3*"):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))


@pytest.fixture
def account(folder: Path) -> Path:
    """The folder of a paper account of $100.48."""
    written = write_account(folder)
    write_snapshot(written)
    return written


# -- the command


def test_doctor_in_an_empty_folder_is_healthy_and_leaves_it_empty(folder: Path) -> None:
    result = run_doctor()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[1].startswith("PROGRAM ──")
    assert lines[-1].endswith(" 0 failed.")
    assert "ACCOUNT" not in result.stdout
    assert list(folder.iterdir()) == []


def test_doctor_json_is_one_object(account: Path) -> None:
    result = run_doctor("--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (document["healthy"], document["not_looked_at"]) == (True, "")
    assert sum(document["counts"].values()) == len(document["checks"])
    lock = next(check for check in document["checks"] if (check["area"], check["name"]) == (PAPER, "lock"))
    assert lock == {"area": PAPER, "name": "lock", "health": "ok", "found": "nobody runs here", "fix": ""}


def test_doctor_changes_nothing_in_an_account(account: Path, folder: Path) -> None:
    def state() -> dict[Path, tuple[int, bytes]]:
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}

    (account / STATE_FILE_NAME).write_text("{ not json", encoding="utf-8")
    before = state()
    assert run_doctor().exit_code == 0
    assert state() == before


def test_doctor_with_a_failed_line_ends_with_4(account: Path) -> None:
    ledger_path(account).write_bytes(b"this is no database" * 100)
    result = run_doctor()
    assert (result.exit_code, result.stderr) == (4, "")
    assert "file is not a database" in result.stdout
    assert "Traceback" not in result.stdout


def test_doctor_with_a_wrong_setting_ends_with_78_and_shows_the_other_lines(account: Path) -> None:
    result = run_doctor(MIN_SIGNAL_SCORE="7", MAX_DRAWDOWN="99")
    assert (result.exit_code, result.stderr) == (78, "")
    assert "MIN_SIGNAL_SCORE (environment variable): must be" in result.stdout
    assert "MAX_DRAWDOWN (environment variable): must be" in result.stdout
    assert "STARTER, last equity $100.00" in result.stdout


def test_doctor_with_a_wrong_state_dir_ends_with_78_and_shows_what_is_left() -> None:
    result = run_doctor("--json", STATE_DIR="~nobody-of-this-name/x")
    checks = {(check["area"], check["name"]): check for check in json.loads(result.stdout)["checks"]}
    assert (result.exit_code, result.stderr) == (78, "")
    assert checks["settings", "values"]["found"].startswith("STATE_DIR (environment variable): must be a folder")
    assert checks["folder", "STATE_DIR"]["health"] == "fail"
    assert ("program", "packages") in checks


def test_doctor_quick_loads_neither_the_venues_nor_the_screen(account: Path) -> None:
    heavy = ("ccxt", "numpy", "loguru", "rich", "asyncio", "tenacity")
    code = (
        "import sys\n"
        f"sys.path[0] = {str(ROOT)!r}\n"
        "from bot.cli.main import main\n"
        "try:\n    main(['doctor', '--quick'])\nexcept SystemExit as e:\n    assert e.code in (None, 0), e.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stderr.strip()) == (0, "[]")


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_doctor_lines_fit_the_width(account: Path, columns: int) -> None:
    ledger_path(account).write_bytes(b"this is no database" * 100)
    lines = run_doctor(COLUMNS=str(columns)).stdout.splitlines()
    assert max(map(len, lines)) <= columns


def test_doctor_text_shows_health_name_found_and_fix_beside_each_other() -> None:
    checks = [
        Check(area="a", name="one", health=Health.OK, found="fine"),
        Check(area="a", name="second", health=Health.FAIL, found="first\nlast", fix="mend it"),
    ]
    assert render_doctor(checks, Look(width=100), not_looked_at=QUICK) == [
        "",
        "A " + "─" * 98,
        "   ok    one     fine",
        "   fail  second  first",
        "                 last",
        "                 Do: mend it",
        "",
        " Not looked at with --quick: the venues (keys, clocks, balances, fees) and what trading costs.",
        " 1 ok, 0 to look at, 1 failed.",
    ]


def test_check_that_breaks_is_a_failed_line_after_those_before_it() -> None:
    def broken() -> Iterator[Check]:
        yield Check(area="a", name="n", health=Health.OK, found="first")
        raise KeyError("gone")

    first, second = fenced("a", "n", broken(), fix="mend it")
    assert first.health is Health.OK
    assert (second.health, second.found, second.fix) == (Health.FAIL, "KeyError: 'gone'", "mend it")


# -- the program


@pytest.mark.parametrize(
    ("version", "health"), [((3, 10, 14), Health.FAIL), ((3, 11, 0), Health.OK), ((3, 14, 1), Health.OK)]
)
def test_python_is_judged_by_its_version(version: tuple[int, int, int], health: Health) -> None:
    assert check_python(version).health is health


LOCK = """\
click==8.5.1 \\
    --hash=sha256:00
    # via the project
rich==15.0.0 \\
    --hash=sha256:00
uvloop==0.22.1 ; implementation_name == 'cpython' \\
    --hash=sha256:00
"""


@pytest.mark.parametrize(
    ("installed", "health", "found"),
    [
        (
            {"click": "8.5.1", "rich": "15.0.0", "uvloop": "0.22.1"},
            Health.OK,
            "3 installed, all as the lock names them",
        ),
        ({"click": "8.5.1", "rich": "15.0.0"}, Health.OK, "2 installed, all as the lock names them"),
        ({"click": "8.5.1", "uvloop": "0.22.1"}, Health.FAIL, "missing: rich"),
        ({"click": "8.1.0", "rich": "15.0.0"}, Health.WARN, "not as locked: click 8.1.0 (lock: 8.5.1)"),
        (
            {"click": "8.5.1", "uvloop": "0.1"},
            Health.FAIL,
            "missing: rich\nnot as locked: uvloop 0.1 (lock: 0.22.1)",
        ),
    ],
)
def test_packages_are_compared_with_the_lock(installed: dict[str, str], health: Health, found: str) -> None:
    check = check_packages(LOCK, installed.get)
    assert (check.health, check.found) == (health, found)
    assert bool(check.fix) == (health is not Health.OK)


def test_packages_of_the_lock_that_is_shipped_are_all_read() -> None:
    text = doctor.LOCK_FILE.read_text(encoding="utf-8")
    pinned = [line for line in text.splitlines() if "==" in line.partition(";")[0] and not line.startswith((" ", "#"))]
    assert check_packages(text, lambda _: "0").found.endswith(f"and {len(pinned) - doctor.PACKAGES_SHOWN} more")


# -- the settings


def write_env(folder: Path, text: str, mode: int) -> None:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


KEY_LINE = f"KRAKEN_MASTER_API_KEY={SECRET}\n"


@pytest.mark.parametrize(
    ("text", "mode", "health", "code"),
    [
        ("PAPER_EQUITY=50\n", 0o600, "ok", 0),
        ("PAPER_EQUITY=50\n", 0o644, "warn", 0),
        ("COINBASE_API_KEY=\nCOINBASE_API_SECRET=\n", 0o644, "warn", 0),
        ("COINBASE_API_KEY=organizations/YOUR_ORG/apiKeys/YOUR_KEY\n", 0o644, "warn", 0),
        (KEY_LINE, 0o600, "ok", 0),
        (KEY_LINE, 0o640, "fail", 4),
        (f"PAPER_EQUITY=none\n{KEY_LINE}", 0o644, "fail", 78),
        ("PAPER_EQUITY=none\nCOINBASE_API_KEY=organizations/YOUR_ORG/apiKeys/YOUR_KEY\n", 0o644, "warn", 78),
        (f'PAPER_EQUITY=none\nCOINBASE_API_SECRET="-----BEGIN EC PRIVATE KEY-----{SECRET}"\n', 0o644, "fail", 78),
    ],
)
def test_env_file_that_others_read_fails_where_it_holds_secrets(
    folder: Path, text: str, mode: int, health: str, code: int
) -> None:
    write_env(folder, text, mode)
    result = run_doctor("--json")
    check = next(check for check in json.loads(result.stdout)["checks"] if check["name"] == ".env")
    assert (check["health"], result.exit_code) == (health, code)
    assert check["fix"].startswith("chmod 600 .env") == (health != "ok")
    assert SECRET not in result.output
    assert result.stderr == ""


def test_env_file_of_others_with_a_secret_from_the_environment_is_a_warning(folder: Path) -> None:
    write_env(folder, "PAPER_EQUITY=50\n", 0o644)
    result = run_doctor("--json", KRAKEN_MASTER_API_KEY=SECRET)
    check = next(check for check in json.loads(result.stdout)["checks"] if check["name"] == ".env")
    assert check["health"] == "warn"
    assert SECRET not in result.output


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"A" * 70_000, b"PAPER_EQUITY\nX", b"'\n\"\n=\n"])
def test_env_file_that_cannot_be_used_ends_with_78_and_no_traceback(folder: Path, content: bytes) -> None:
    (folder / ".env").write_bytes(content)
    result = run_doctor()
    assert result.exit_code == 78
    assert not isinstance(result.exception, Exception)
    assert "FOLDER ──" in result.stdout


def test_env_that_is_a_folder_ends_with_78(folder: Path) -> None:
    (folder / ".env").mkdir()
    result = run_doctor()
    assert result.exit_code == 78
    assert "must be a text file, was a directory" in " ".join(result.stdout.split())


def test_settings_that_are_unknown_or_have_no_effect_are_told(folder: Path) -> None:
    write_env(folder, "SOME_OTHER_TOOL=1\nCASH_YIELD_PCT=4\nPAPER_EQUITY=50\nLIVE_TRADING=True\n", 0o600)
    result = run_doctor("--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["unknown names"]["found"] == "not used by this program: SOME_OTHER_TOOL"
    # LIVE_TRADING is True by default; PAPER_EQUITY has an effect.
    assert checks["no effect"]["found"].startswith("CASH_YIELD_PCT: no effect yet: ")
    assert len(checks["no effect"]["found"].splitlines()) == 1
    assert checks["values"]["found"].startswith("all valid; 2 of ")
    assert {checks[name]["health"] for name in ("unknown names", "no effect")} == {"warn"}


def test_settings_as_they_are_shipped_have_no_warning(folder: Path) -> None:
    assert ("settings", "no effect") not in looked(folder)
    assert ("settings", "unknown names") not in looked(folder)


# -- the folder


def test_state_dir_that_is_a_file_fails(folder: Path) -> None:
    (folder / "file").write_text("x", encoding="utf-8")
    check = looked(folder / "file")["folder", "STATE_DIR"]
    assert (check.health, check.fix) == (Health.FAIL, "check STATE_DIR, owner and permissions")
    assert check.found == f"{folder / 'file'} cannot be written: Not a directory"


def test_state_dir_below_a_file_fails(folder: Path) -> None:
    (folder / "file").write_text("x", encoding="utf-8")
    assert looked(folder / "file" / "deeper")["folder", "STATE_DIR"].health is Health.FAIL


def test_state_dir_that_does_not_exist_is_fine_and_is_not_made(folder: Path) -> None:
    check = looked(folder / "a" / "b")["folder", "STATE_DIR"]
    assert check.health is Health.OK
    assert check.found.endswith("does not exist yet; the first start makes it")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_state_dir_that_is_read_only_fails(folder: Path) -> None:
    (folder / "state").mkdir(mode=0o500)
    assert looked(folder / "state")["folder", "STATE_DIR"].health is Health.FAIL
    assert looked(folder / "state" / "deeper")["folder", "STATE_DIR"].health is Health.FAIL


@pytest.mark.parametrize(
    ("free", "health", "found"),
    [
        (200_000_000, Health.OK, "200 MB"),
        (199_000_000, Health.WARN, "199 MB, below 200 MB"),
        (20_000_000, Health.WARN, "20 MB, below 200 MB"),
        (19_000_000, Health.FAIL, "19 MB, below 20 MB"),
    ],
)
def test_disk_is_judged_by_its_free_space(free: int, health: Health, found: str) -> None:
    check = check_disk(free)
    assert (check.health, check.found) == (health, found)


# -- the accounts


def test_account_that_is_well_is_described(account: Path, folder: Path) -> None:
    found = {name: check.found for (area, name), check in looked(folder).items() if area == PAPER}
    assert found == {
        "lock": "nobody runs here",
        "tier": "STARTER, last equity $100.00",
        "ledger": f"no damage found; schema {SCHEMA_VERSION}",
        # 100 - 18.10 + 18.80 - 20.12 = 80.58; 0.10 + 0.20 + 0.12 of fees
        "books": "balance to the last digit: fills 3, open positions 1, cash $80.58, fees $0.42",
        "last cycle": "recorded 0 s ago; newest equity $100.48 of 2026-02-11 00:01 UTC",
        "mode": "ACTIVE",
    }


def test_accounts_without_a_trace_are_passed_over(account: Path, folder: Path) -> None:
    assert {area for area, _ in looked(folder) if area.startswith("account")} == {PAPER}
    write_account(folder, TradingMode.REPLAY)
    areas = {area for area, _ in looked(folder) if area.startswith("account")}
    assert areas == {PAPER, "account REPLAY"}


def test_lock_that_is_held_names_its_holder_and_is_left_to_him(account: Path, folder: Path) -> None:
    with ModeLock(account, now=T0, command="run --paper"):
        check = looked(folder)[PAPER, "lock"]
        note = (account / LOCK_NAME).read_text(encoding="utf-8")
    assert check.health is Health.OK
    assert check.found == f"pid {os.getpid()} runs here since 2026-02-01 00:01 UTC: run --paper"
    assert json.loads(note)["command"] == "run --paper"


def test_lock_with_an_unreadable_note_is_a_warning(account: Path, folder: Path) -> None:
    with ModeLock(account, now=T0, command="run"):
        (account / LOCK_NAME).write_text("?", encoding="utf-8")
        assert looked(folder)[PAPER, "lock"].health is Health.WARN


def test_lock_that_is_a_folder_fails(account: Path, folder: Path) -> None:
    (account / LOCK_NAME).mkdir()
    assert looked(folder)[PAPER, "lock"].health is Health.FAIL


@pytest.mark.parametrize(
    ("text", "health", "found"),
    [
        ("{ not json", Health.WARN, "cannot be used: "),
        ("[]", Health.WARN, "no JSON object"),
        ('{"schema_version": "x"}', Health.WARN, "no JSON object with a schema_version"),
        ('{"schema_version": 99}', Health.FAIL, "schema_version 99 is newer than 1"),
        ('{"current_tier": 5}', Health.WARN, "current_tier: must be the name of a tier"),
        ('{"current_tier": "TITAN", "last_equity": 7}', Health.WARN, "there is no tier 'TITAN'"),
        ('{"last_equity": 7}', Health.OK, "UNRANKED, last equity $7.00"),
        ("{}", Health.OK, "UNRANKED, no equity checked yet"),
        ("[" * 100_000, Health.WARN, "cannot be used: "),
    ],
)
def test_state_file_is_judged_and_left_alone(
    account: Path, folder: Path, text: str, health: Health, found: str
) -> None:
    (account / STATE_FILE_NAME).write_text(text, encoding="utf-8")
    check = looked(folder)[PAPER, "tier"]
    assert check.health is health
    assert found in check.found
    assert (account / STATE_FILE_NAME).read_text(encoding="utf-8") == text


def test_state_file_that_is_a_folder_fails(account: Path, folder: Path) -> None:
    (account / STATE_FILE_NAME).unlink()
    (account / STATE_FILE_NAME).mkdir()
    assert looked(folder)[PAPER, "tier"].health is Health.FAIL


def test_state_file_that_is_missing_is_fine(account: Path, folder: Path) -> None:
    (account / STATE_FILE_NAME).unlink()
    assert looked(folder)[PAPER, "tier"].health is Health.OK


def test_ledger_that_is_missing_beside_its_counterpart_fails(account: Path, folder: Path) -> None:
    # The tier's file alone is no sign of a loss: the guide's interface makes it without a ledger.
    ledger_path(account).unlink()
    assert looked(folder)[PAPER, "ledger"].health is Health.OK
    (account / PAPER_ACCOUNTS_NAME).write_text("{}", encoding="utf-8")
    assert looked(folder)[PAPER, "ledger"].health is Health.FAIL
    ledger_path(account).touch()
    assert looked(folder)[PAPER, "ledger"].health is Health.FAIL


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


def overwrite_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\x5a" * (len(content) - 4096 * 2)
    path.write_bytes(bytes(content))


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path.parent / PAPER_ACCOUNTS_NAME).write_text("{}", encoding="utf-8")


def make_newer(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60:64] = (99).to_bytes(4, "big")  # SQLite's header: the user version
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("harm", [cut, overwrite_pages, replace_by_a_folder, make_newer])
def test_ledger_that_is_broken_fails_with_the_reason(account: Path, folder: Path, harm: Callable[[Path], None]) -> None:
    harm(ledger_path(account))
    check = looked(folder)[PAPER, "ledger"]
    assert check.health is Health.FAIL
    assert "ledger.sqlite3" in check.found
    assert check.fix


def test_ledger_harmed_anywhere_never_breaks_the_doctor(account: Path, folder: Path) -> None:
    whole = ledger_path(account).read_bytes()
    failed = 0
    for at in range(0, len(whole), 1_511):
        ledger_path(account).write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF] * 40) + whole[at + 40 :])
        checks = list(check_account(folder, TradingMode.PAPER, now=NOW))
        failed += any(check.health is Health.FAIL for check in checks)
        assert "ledger" in {check.name for check in checks}
    assert failed > 0


def test_ledger_that_takes_too_long_is_not_called_damaged(
    account: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_check, "_STEPS_PER_LOOK", 1)
    with LedgerCheck(ledger_path(account)) as ledger:
        assert ledger.damage(within_s=-1.0) is None
        assert ledger.fills()  # the time limit ends with the examination
    monkeypatch.setattr(doctor_account, "QUICK_CHECK_S", -1.0)
    check = looked(folder)[PAPER, "ledger"]
    assert check.health is Health.OK
    assert check.found.startswith("too large to be examined whole here")


def test_books_that_do_not_add_up_fail(account: Path, folder: Path) -> None:
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        ledger.record_fill(
            Fill(
                fill_id="of nothing",
                account="coinbase",
                symbol="ETH/USD",
                client_order_id="unknown",
                side=Side.SELL,
                quantity=Decimal(1),
                price=Decimal(4000),
                fee=Decimal(1),
                liquidity=Liquidity.TAKER,
                at=NOW,
            )
        )
    checks = looked(folder)
    assert checks[PAPER, "ledger"].health is Health.OK
    assert checks[PAPER, "books"].health is Health.FAIL
    assert "ETH/USD" in checks[PAPER, "books"].found


def test_running_bot_that_records_nothing_fails(account: Path, folder: Path) -> None:
    later = NOW + timedelta(minutes=16)
    assert looked(folder, now=later)[PAPER, "last cycle"].health is Health.OK
    with ModeLock(account, now=T0, command="run"):
        assert looked(folder, now=NOW + timedelta(minutes=14))[PAPER, "last cycle"].health is Health.OK
        check = looked(folder, now=later)[PAPER, "last cycle"]
        assert check.health is Health.FAIL
        assert check.found.endswith("; the bot runs and records nothing")
        # three cycles of 10 minutes are longer
        write_snapshot(account, poll_s=600.0)
        assert looked(folder, now=later)[PAPER, "last cycle"].health is Health.OK


def test_cycle_in_the_future_is_a_warning(account: Path, folder: Path) -> None:
    check = looked(folder, now=NOW - timedelta(hours=1))[PAPER, "last cycle"]
    assert (check.health, check.fix) == (Health.WARN, "set the clock of this machine")


def test_cycle_of_a_simulated_account_is_aged_by_its_file(folder: Path) -> None:
    simulated = write_account(folder, TradingMode.SIMULATED)
    write_snapshot(simulated, at="2031-05-01T00:00:00+00:00")
    check = looked(folder, now=NOW + timedelta(hours=3))["account SIMULATED", "last cycle"]
    assert check.health is Health.OK
    assert check.found.startswith("recorded 3 h ago, at 2031-05-01 00:00 UTC of its own time; ")


def test_ledger_without_a_cycle_is_a_warning_once_it_was_used(account: Path, folder: Path) -> None:
    write_snapshot(account, schema_version=0)
    with SqliteLedger(ledger_path(account), durable=False) as ledger:
        ledger.set_value(SNAPSHOT_KEY, {"schema_version": 0})
    assert looked(folder)[PAPER, "last cycle"].health is Health.WARN


def test_halted_account_is_a_warning_with_the_reason(folder: Path) -> None:
    write_snapshot(write_account(folder, engine_mode=EngineMode.HALTED))
    check = looked(folder)[PAPER, "mode"]
    assert check.health is Health.WARN
    assert check.found == "HALTED: halted by the user; `resume` ends the halt"


@pytest.mark.parametrize("snapshot", [{"at": "yesterday"}, {"engine_mode": "DANCING"}, {"poll_s": None, "at": None}])
def test_snapshot_that_cannot_be_understood_fails(account: Path, folder: Path, snapshot: dict[str, Any]) -> None:
    write_snapshot(account, **snapshot)
    assert looked(folder)[PAPER, "last cycle"].health is Health.FAIL


# -- the money


def test_money_lines_come_from_a_recent_account(account: Path, folder: Path) -> None:
    checks = looked(folder)
    found = {name: check.found for (area, name), check in checks.items() if area == "money"}
    assert found == {
        "strategy": "allocation with $100.48: the PAPER account as of 2026-02-11 00:01 UTC",
        "coinbase": (
            "can be bought at full score: BTC for $18.00\n"
            "SOL (from $117.66): What target, limits and holdings leave is $4.27; "
            "the smallest order is $5.00 (MIN_TRADE_SIZE)."
        ),
        "round trip": "coinbase: 1.83 % of an order, $0.09 to $0.33",
        "risk per trade": "an order that is stopped costs $1.80, 1.8 % of equity; the ceiling is 3.0 %",
        "all stops": "$1.20 now, gaps included; at $6.03 nothing more is bought",
        # 5 x 12 = 60, 60 / 100.48 = 59.7 %
        "server": "$5.00 a month is $60.00 a year, 60 % of this equity: that much must be earned before anything is",
    }
    assert {checks["money", name].health for name in found} == {Health.OK, Health.WARN}
    assert checks["money", "server"].health is Health.WARN
    # 0.80 x 12 = 9.60, 9.6 % of 100.48
    assert looked(folder, SERVER_COST_USD_MONTH="0.80")["money", "server"].health is Health.OK


def test_money_that_buys_nothing_anywhere_is_a_warning_with_the_deposit(account: Path, folder: Path) -> None:
    dormant = reach_row(
        "kraken",
        "BTC",
        order_usd=0.0,
        refusal="venue_dormant",
        refusal_limit=50.0,
        refusal_actual=0.0,
        refusal_unit="usd",
        from_equity_usd=50.0,
    )
    write_snapshot(account, reach=[*REACH, dormant])
    assert looked(folder)["money", "kraken"].health is Health.OK
    write_snapshot(account, reach=[REACH[1], dormant])
    checks = looked(folder)
    assert checks["money", "kraken"].health is Health.WARN
    assert checks["money", "kraken"].fix == "a deposit: $50.00 on this venue is enough for one coin"
    assert checks["money", "coinbase"].found.startswith("nothing can be bought\nSOL (from $117.66): What ")


def test_money_lines_survive_a_wrong_setting_without_the_server(account: Path, folder: Path) -> None:
    checks = looked(folder, problem="something is wrong")
    assert ("money", "coinbase") in checks
    assert ("money", "server") not in checks


def test_money_lines_prefer_real_money(account: Path, folder: Path) -> None:
    write_snapshot(write_account(folder, TradingMode.LIVE), equity_usd=260.0)
    assert looked(folder)["money", "strategy"].found.startswith("allocation with $260.00: the LIVE account as of")


def test_money_lines_without_an_account_are_those_of_the_paper_equity(account: Path, folder: Path) -> None:
    # the account has not run for 49 hours
    checks = looked(folder, now=NOW + timedelta(hours=49), PAPER_EQUITY="60", SECONDARY_BROKER="NONE")
    assert checks["money", "strategy"].found == (
        "allocation with $60.00: PAPER_EQUITY, all of it on one venue, at example prices; "
        "no account has run within 2 days (a replay is none)"
    )
    assert {name for area, name in checks if area == "money"} == {
        "strategy",
        "coinbase",
        "round trip",
        "risk per trade",
        "all stops",
        "server",
    }
    # 1.006 / (1 - 0.012) - 1 = 1.822 %
    assert checks["money", "round trip"].found.startswith("coinbase: 1.82 % of an order, $")
    # 6 % of 60 = 3.60, the whole daily loss
    assert checks["money", "all stops"].found == "$0.00 now, gaps included; at $3.60 nothing more is bought"
    # 60 a year of 60
    assert checks["money", "server"].found.startswith("$5.00 a month is $60.00 a year, 100 % of this equity")


def test_money_lines_are_left_out_where_neither_account_nor_settings_answer(folder: Path) -> None:
    assert not [name for area, name in looked(folder, problem="something is wrong") if area == "money"]


def test_secret_file_that_others_can_read_fails_without_its_path(folder: Path) -> None:
    secret = folder / "where-the-key-is"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    result = run_doctor("--json", KRAKEN_MASTER_API_SECRET_FILE=str(secret))
    assert result.exit_code == 4
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["KRAKEN_MASTER_API_SECRET_FILE"] == {
        "area": "settings",
        "name": "KRAKEN_MASTER_API_SECRET_FILE",
        "health": "fail",
        "found": "the file that it names can be read or changed by others",
        "fix": "chmod 600 the file; if others use this machine, make new keys",
    }
    assert secret.name not in result.stdout
    assert SECRET not in result.stdout
    secret.chmod(0o600)
    assert "_FILE" not in run_doctor("--json", KRAKEN_MASTER_API_SECRET_FILE=str(secret)).stdout
