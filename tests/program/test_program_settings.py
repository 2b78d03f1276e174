"""Settings as the whole program meets them: errors, folders, LIVE_TRADING, and secrets that stay secret."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from program_rig import assert_fails, bot, bot_inside, day_ms, days_of, running, walk, write_candles, write_env

COMPLETE_CREDENTIALS = {
    "COINBASE_API_KEY": "organizations/a1b2-COINKEYCANARY/apiKeys/c3d4",
    "COINBASE_API_SECRET": '"-----BEGIN EC PRIVATE KEY-----\\nMHcCOINSECRETCANARY\\n-----END EC PRIVATE KEY-----"',
    "KRAKEN_MASTER_API_KEY": "KRAKENKEYCANARY0123456789",
    "KRAKEN_MASTER_API_SECRET": "KRAKENSECRETCANARYabcdefghij==",
}
CANARY = re.compile(rb"\w*CANARY\w*", flags=re.IGNORECASE)


def test_env_with_several_errors_lists_all_of_them(tmp_path: Path) -> None:
    write_env(
        tmp_path,
        "MAX_POSITION_PCT=0.18",
        "DAILY_MAX_LOSS=60",
        "MIN_TRADE_SIZ=5",
        "TRADE_ONLY=BTC,DOGE",
        "PAPER_EQUITY=lots",
        "this is no setting",
    )
    done = bot(tmp_path, "run", "--once")
    assert_fails(done, 78)
    lines = done.stderr.splitlines()
    assert lines[0] == "Error: 6 problems in the settings:"
    assert len(lines) == 7
    for name, allowed in (
        ("MAX_POSITION_PCT (.env line 1)", "did you mean 18?"),
        ("DAILY_MAX_LOSS (.env line 2)", "was '60'"),
        (".env line 3", "did you mean MIN_TRADE_SIZE?"),
        ("TRADE_ONLY (.env line 4)", "DOGE"),
        ("PAPER_EQUITY (.env line 5)", "was 'lots'"),
        (".env line 6", "NAME=value"),
    ):
        assert [line for line in lines if name in line and allowed in line], (name, done.stderr)
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize("command", ["run --once", "config", "run --replay ."])
def test_env_with_an_error_stops_what_would_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    write_env(tmp_path, "MAX_DRAWDOWN=120")
    assert_fails(bot_inside(monkeypatch, tmp_path, *command.split()), 78, "MAX_DRAWDOWN (.env line 1)", "was '120'")


def test_env_with_an_error_does_not_disarm_a_running_bot(tmp_path: Path) -> None:
    with running(tmp_path, "run", "--interval", "0.2") as program:
        program.wait_for_cycles(2)
        write_env(tmp_path, "MAX_DRAWDOWN=99", "STATE_DIR=.")
        done = bot(tmp_path, "halt")
        assert (done.returncode, done.stdout.startswith("Told the running bot")) == (0, True)
        assert done.stderr.startswith("WARNING: MAX_DRAWDOWN (.env line 1)")
        program.wait_for_cycles(program.cycles + 3)
        assert bot(tmp_path, "status").returncode == 4


def test_halt_without_a_bot_and_with_an_error_says_so_and_does_nothing(tmp_path: Path) -> None:
    assert bot(tmp_path, "run", "--cycles", "2", "--interval", "0").returncode == 0
    write_env(tmp_path, "MAX_DRAWDOWN=99")
    assert bot(tmp_path, "halt").returncode == 78


def test_state_dir_deleted_while_running_stops_the_bot(tmp_path: Path) -> None:
    with running(tmp_path, "run", "--interval", "0.1") as program:
        program.wait_for_cycles(2)
        shutil.rmtree(tmp_path / "simulated")
        assert program.wait() == 1
        assert "removed or replaced while the bot ran" in program.err
        assert "Ended cleanly" not in program.err


def test_emptied_ledger_of_an_account_that_traded_is_refused(tmp_path: Path) -> None:
    assert bot(tmp_path, "run", "--cycles", "30", "--interval", "0").returncode == 0
    (tmp_path / "simulated" / "ledger.sqlite3").write_bytes(b"")
    assert_fails(bot(tmp_path, "run", "--once"), 78, "ledger.sqlite3 is missing or empty")


def test_env_state_dir_is_where_everything_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept here"
    write_env(tmp_path, f'STATE_DIR="{kept}"')
    done = bot(tmp_path, "run", "--cycles", "2", "--interval", "0")
    assert done.returncode == 0
    assert done.stderr.endswith(f"the account is kept in {kept / 'simulated'}.\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", "kept here"]
    assert bot(tmp_path, "status").returncode == 0
    assert bot(tmp_path, "halt").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", "kept here"]
    # nobody else reads the books
    assert [
        path.name for path in (kept / "simulated").iterdir() if path.is_file() and path.stat().st_mode & 0o077
    ] == []


def test_environment_wins_over_env_file(tmp_path: Path) -> None:
    write_env(tmp_path, "PAPER_EQUITY=300")
    done = bot(tmp_path, "run", "--once", PAPER_EQUITY="40")
    assert "UNRANKED -> STARTER at $40.00" in done.stderr


CREDENTIAL_LINES = tuple(f"{name}={value}" for name, value in COMPLETE_CREDENTIALS.items())


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("LIVE_TRADING=False", *CREDENTIAL_LINES), "--live: LIVE_TRADING is False"),
        (
            ("PAPER_EQUITY=50",),
            "--live: no venue has complete credentials (COINBASE_API_KEY, COINBASE_API_SECRET, "
            "KRAKEN_MASTER_API_KEY, KRAKEN_MASTER_API_SECRET not set)",
        ),
        (
            ("SECONDARY_BROKER=NONE", *CREDENTIAL_LINES[2:]),
            "--live: no venue has complete credentials (COINBASE_API_KEY, COINBASE_API_SECRET not set)",
        ),
    ],
)
def test_live_that_lacks_something_is_refused_in_one_clear_sentence(
    tmp_path: Path, lines: tuple[str, ...], sentence: str
) -> None:
    write_env(tmp_path, *lines)
    done = bot(tmp_path, "run", "--live")
    assert_fails(done, 78)
    assert done.stderr == f"Error: {sentence}\n"
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_live_with_keys_that_others_can_read_is_refused_and_says_what_to_type(tmp_path: Path) -> None:
    write_env(tmp_path, *CREDENTIAL_LINES)
    (tmp_path / ".env").chmod(0o640)
    done = bot(tmp_path, "run", "--live")
    assert_fails(done, 78, "no real order is sent with such keys", "`chmod 600 .env`")
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_live_with_a_private_key_that_is_none_is_refused_and_confirms_nothing(tmp_path: Path) -> None:
    write_env(tmp_path, *CREDENTIAL_LINES)
    assert_fails(bot(tmp_path, "run", "--live"), 78, "COINBASE_API_SECRET cannot be read as a private key")
    # without a ledger the next start asks again
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", ".lock"]
    again = bot(tmp_path, "run", "--once")
    assert again.stderr.startswith("PAPER, no real orders: real orders were never confirmed, and nobody is at the")


def test_live_trading_without_credentials_is_play_money_and_says_why(tmp_path: Path) -> None:
    write_env(tmp_path, "LIVE_TRADING=True", "COINBASE_API_KEY=organizations/YOUR_ORG/apiKeys/YOUR_KEY")
    done = bot(tmp_path, "run", "--once")
    assert done.stderr.startswith("PAPER, no real orders: no venue has complete credentials (COINBASE_API_KEY, ")


def test_live_trading_false_is_play_money_and_says_why(tmp_path: Path) -> None:
    done = bot(tmp_path, "run", "--once", LIVE_TRADING="False")
    assert done.stderr.startswith("PAPER, no real orders: LIVE_TRADING is False.")


@pytest.mark.parametrize("place", [".env", "environment"])
def test_secrets_with_live_trading_send_nothing_and_appear_nowhere(tmp_path: Path, place: str) -> None:
    credentials = {name: value.strip('"') for name, value in COMPLETE_CREDENTIALS.items()}
    if place == ".env":
        write_env(tmp_path, "LIVE_TRADING=True", *(f"{name}={value}" for name, value in COMPLETE_CREDENTIALS.items()))
        variables = {}
    else:
        variables = {"LIVE_TRADING": "True", **credentials}
    hours = walk(seed=3, first_ms=day_ms("2022-01-01"), hours=40 * 24, price=100.0, drifts=(1.0,))
    write_candles(tmp_path, "binance_BTC-USDT_1d.csv", days_of(hours))
    first = bot(tmp_path, "run", "--cycles", "12", "--interval", "0", **variables)
    assert first.returncode == 0
    assert first.stderr.startswith("PAPER, no real orders: real orders were never confirmed, ")
    assert "SIMULATED" in first.stderr
    commands = (
        ("run", "--replay", ".", "--json"),
        ("status",),
        ("config",),
        ("config", "--json"),
        ("flatten", "--yes"),
        ("run", "--live"),
    )
    ended = [first, *(bot(tmp_path, *command, **variables) for command in commands)]
    assert [run.returncode for run in ended] == [0, 0, 0, 0, 0, 0, 78]
    shown = "".join(run.stdout + run.stderr for run in ended).encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".env"]
    assert {"ledger.sqlite3", "paper_accounts.json", ".auto_scaling_state.json", ".lock"} <= {f.name for f in files}
    assert CANARY.findall(shown) == []
    assert [path.name for path in files if CANARY.search(path.read_bytes())] == []
    assert b"Traceback" not in shown


def test_secret_in_a_broken_line_appears_nowhere(tmp_path: Path) -> None:
    write_env(
        tmp_path,
        'COINBASE_API_SECRET="-----BEGIN EC PRIVATE KEY-----',
        "MHcCOINSECRETCANARYxyz",
        "KRAKEN_MASTER_API_SECRET=KRAKENSECRETCANARYabcdefghij== and more",
    )
    done = bot(tmp_path, "run", "--once")
    assert_fails(done, 78)
    assert CANARY.findall(done.stderr.encode()) == []


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, True), (0o600, False)])
def test_env_with_secrets_that_others_can_read_is_warned_of(tmp_path: Path, mode: int, warned: bool) -> None:
    write_env(tmp_path, "KRAKEN_MASTER_API_KEY=k9CANARY", "KRAKEN_MASTER_API_SECRET=czkCANARY=")
    (tmp_path / ".env").chmod(mode)
    done = bot(tmp_path, "run", "--once", "--simulated")
    assert done.returncode == 0
    assert ("WARNING: .env holds secrets and can be read by others: `chmod 600 .env`." in done.stderr) == warned
    assert CANARY.findall(done.stderr.encode()) == []


def test_env_without_secrets_that_others_can_read_is_not_warned_of(tmp_path: Path) -> None:
    write_env(tmp_path, "PAPER_EQUITY=50")
    (tmp_path / ".env").chmod(0o644)
    done = bot(tmp_path, "run", "--once")
    assert done.stderr.startswith("PAPER, no real orders: no venue has complete credentials")
    assert "WARNING: .env" not in done.stderr
