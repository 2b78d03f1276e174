"""What a live or paper bot tells the outside: alerts, heartbeat, systemd. None of it stops or delays the bot."""

from __future__ import annotations

import json
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from live_rig import KRAKEN_KEY, KRAKEN_SECRET, command, noon_exchanges, run_live
from paper_rig import public, wait_for
from program_rig import bot, running

sys.path.insert(0, str(Path(__file__).parents[1] / "alerts"))

from alerts_rig import HANG, WebServer, web_server
from http_shell import Fault, FaultKind

from bot.cli.outside import MEMORY_KEY, reason_of
from bot.domain.errors import InvariantError, LedgerError
from bot.storage.ledger import SqliteLedger

DEAD = Fault(FaultKind.CLOSE)

FAST = ("run", "--paper", "--interval", "0.1")


def alerts_to(server: WebServer, path: str = "alerts-token") -> str:
    return f"json://127.0.0.1:{server.port}/{path}"


def beats_to(server: WebServer) -> str:
    return f"http://127.0.0.1:{server.port}/beat-token"


def received(server: WebServer) -> list[tuple[str, str]]:
    """Everything that has come so far."""
    found = []
    while not server.received.empty():
        found.append(server.received.get_nowait())
    return found


def bodies(server: WebServer) -> list[str]:
    return [body for _, body in received(server)]


def titles(server: WebServer) -> list[str]:
    return [json.loads(body)["title"] for body in bodies(server)]


@contextmanager
def service_manager() -> Iterator[tuple[str, socket.socket]]:
    """The socket of a service manager: its address, and the end that reads."""
    # In a folder with a short name: the address of a unix socket has at most 108 bytes.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        address = str(Path(folder) / "notify")
        receiver.bind(address)
        receiver.settimeout(30)
        yield address, receiver


def test_paper_tells_of_its_start_and_of_the_tier(tmp_path: Path) -> None:
    with noon_exchanges() as site, web_server() as server:
        with running(tmp_path, *FAST, **public(site, NOTIFY_URLS=alerts_to(server))) as program:
            messages = [server.next_message(), server.next_message()]
            program.signal(signal.SIGTERM)
            assert program.wait() == 0
        assert [title for title, _ in messages] == ["PAPER: the bot has started", "PAPER: tier UNRANKED -> ADVANCED"]
        assert messages[0][1].startswith("Equity $520.00. Version ")
        assert "Now at most 4 positions and 4.0 % of risk per trade." in messages[1][1]
        assert received(server) == []
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [path.name for path in files if b"alerts-token" in path.read_bytes()] == []


def test_live_tells_of_a_halt_by_the_user(tmp_path: Path) -> None:
    with noon_exchanges() as site, web_server() as server:
        urls = {"NOTIFY_URLS": alerts_to(server), "NOTIFY_TIER_CHANGE": "off"}
        assert run_live(tmp_path, site, "--once", **urls).returncode == 0
        assert command(tmp_path, site, "halt", "--mode", "live").returncode == 0
        assert titles(server) == []  # told by the bot itself, in its next cycle
        assert run_live(tmp_path, site, "--once", **urls).returncode == 0
        assert titles(server) == ["LIVE: halted"]


def test_live_that_ends_itself_tells_why_and_shows_no_key(tmp_path: Path) -> None:
    # Kraken's rights are learnt late, while the bot runs, and the key may withdraw.
    with noon_exchanges() as site, web_server() as server:
        site.kraken_core.keys[KRAKEN_KEY].rights |= {"withdraw-funds"}
        urls = {"NOTIFY_URLS": alerts_to(server), "NOTIFY_TIER_CHANGE": "off", "NOTIFY_RESTART": "off"}
        site.kraken_server.inject("*/GetApiKeyInfo", DEAD, count=3)  # the start and its tries
        done = run_live(tmp_path, site, "--cycles", "3", "--interval", "0.1", **urls)
        assert done.returncode == 78, done.stderr
        reason = "kraken: the key may also: withdraw-funds"
        assert reason in done.stderr
        ((_, body),) = received(server)
        sent = json.loads(body)
        assert sent["title"] == "LIVE: the bot has ended"
        assert sent["message"].startswith(f"The bot has ended: {reason}")
        assert [secret for secret in (KRAKEN_KEY, KRAKEN_SECRET, site.key.name) if secret in body] == []
        # started again at once, and again for nothing: it has been said
        site.kraken_server.inject("*/GetApiKeyInfo", DEAD, count=3)
        assert run_live(tmp_path, site, "--cycles", "3", "--interval", "0.1", **urls).returncode == 78
        assert received(server) == []


def test_bot_told_to_stop_tells_of_no_end(tmp_path: Path) -> None:
    with noon_exchanges() as site, web_server() as server:
        urls = {"NOTIFY_URLS": alerts_to(server), "NOTIFY_TIER_CHANGE": "off", "NOTIFY_RESTART": "off"}
        with running(tmp_path, *FAST, **public(site, **urls)) as program:
            program.wait_for_cycles(2)
            program.signal(signal.SIGTERM)
            assert program.wait() == 0
        assert received(server) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LedgerError("ledger.sqlite3: the disk is full"), "ledger.sqlite3: the disk is full"),
        (
            InvariantError("an error inside the program: KeyError: what-nobody-may-see"),
            "an error inside the program (InvariantError); its log says which",
        ),
        (ValueError("what-nobody-may-see"), "an error inside the program (ValueError); its log says which"),
    ],
)
def test_words_of_an_error_leave_the_machine_only_where_they_are_our_own(error: Exception, said: str) -> None:
    assert reason_of(error) == said


def test_error_behind_an_error_inside_the_program_is_named() -> None:
    error = InvariantError("an error inside the program: KeyError: what-nobody-may-see")
    error.__cause__ = KeyError("what-nobody-may-see")
    assert reason_of(error) == "an error inside the program (KeyError); its log says which"


def test_once_waits_for_neither_a_hanging_monitor_nor_a_hanging_service(tmp_path: Path) -> None:
    with noon_exchanges() as site, web_server(HANG) as monitor, web_server(HANG) as service:
        plain = bot(tmp_path, "run", "--paper", "--once", **public(site))
        assert plain.returncode == 0
        assert bot(tmp_path, "halt", "--mode", "paper", **public(site)).returncode == 0
        urls = {"HEARTBEAT_URL": beats_to(monitor), "NOTIFY_URLS": f"{alerts_to(service)}?rto=100"}
        before = time.monotonic()
        done = bot(tmp_path, "run", "--paper", "--once", **public(site, **urls))
        took_s = time.monotonic() - before
        assert (done.returncode, len(received(monitor)), len(received(service))) == (0, 1, 1)
        # 5 s for the service and 2 s for the monitor, and what a start takes; the patience of a bot that stays is 15 s
        assert 5 <= took_s < 13, took_s
        with SqliteLedger(tmp_path / "paper" / "ledger.sqlite3", durable=False) as ledger:
            memory: Any = ledger.value(MEMORY_KEY)
        waiting = [message["title"] for message in memory["waiting"]["addresses"][0]["waiting"]]
        assert "PAPER: halted" in waiting


def test_once_from_a_clock_tells_each_thing_once(tmp_path: Path) -> None:
    # No process lives from one start to the next: what has been told is in the ledger.
    with noon_exchanges() as site, web_server() as server:
        urls = {"NOTIFY_URLS": alerts_to(server)}
        first = bot(tmp_path, "run", "--paper", "--once", **public(site, **urls))
        assert first.returncode == 0
        assert titles(server) == ["PAPER: tier UNRANKED -> ADVANCED"]  # and of no start: there is one each time
        assert bot(tmp_path, "halt", "--mode", "paper", **public(site)).returncode == 0
        for expected in (["PAPER: halted"], [], []):
            assert bot(tmp_path, "run", "--paper", "--once", **public(site, **urls)).returncode == 0
            assert titles(server) == expected


def test_weekly_summary_has_the_lines_of_the_receipt(tmp_path: Path) -> None:
    with noon_exchanges() as site, web_server() as server:
        settings = public(site, NOTIFY_URLS=alerts_to(server), DIGEST_EVERY="weekly")
        assert bot(tmp_path, "run", "--paper", "--once", **settings).returncode == 0
        with SqliteLedger(tmp_path / "paper" / "ledger.sqlite3", durable=False) as ledger:
            memory: Any = ledger.value(MEMORY_KEY)
            memory["watch"]["digest_at"] = "2020-01-06T00:05:00+00:00"
            ledger.set_value(MEMORY_KEY, memory)
        received(server)
        assert bot(tmp_path, "run", "--paper", "--once", **settings).returncode == 0
        ((title, lines),) = [(m["title"], m["message"].splitlines()) for m in map(json.loads, bodies(server))]
    assert title == "PAPER: $520.00, $0.00 since the last summary"
    assert lines[1] == "Put in $520.00; result since the start $0.00 (0.0 %) after $0.00 of fees."
    assert lines[3].endswith(": the bot $0.00 after fees, the coins at its exposure (0.0 %) $0.00, cash $0.00.")
    assert lines[4] == "Fees $0.00, in it; server $0.00, not in it."


def test_alert_that_could_not_be_sent_is_sent_by_the_next_start(tmp_path: Path) -> None:
    with noon_exchanges() as site, web_server(500) as server:
        urls = {"NOTIFY_URLS": alerts_to(server)}
        assert bot(tmp_path, "run", "--paper", "--once", **public(site, **urls)).returncode == 0
        assert titles(server) == ["PAPER: tier UNRANKED -> ADVANCED"]  # answered with 500
        with SqliteLedger(tmp_path / "paper" / "ledger.sqlite3", durable=False) as ledger:
            memory: Any = ledger.value(MEMORY_KEY)
            (address,) = memory["waiting"]["addresses"]
            assert [waiting["title"] for waiting in address["waiting"]] == ["PAPER: tier UNRANKED -> ADVANCED"]
            address["not_before"] = ""  # the pause of 30 seconds is over
            ledger.set_value(MEMORY_KEY, memory)
        with running(tmp_path, *FAST, **public(site, **urls)):
            again = {server.next_message()[0] for _ in range(2)}
        assert again == {"PAPER: tier UNRANKED -> ADVANCED", "PAPER: the bot has started"}


@pytest.mark.parametrize(
    "urls", ["json://127.0.0.1:1/gone", "nothing-that-apprise-knows://token", "json://127.0.0.1:1 tgram://x"]
)
def test_alerts_that_cannot_be_sent_do_not_stop_the_bot(tmp_path: Path, urls: str) -> None:
    with noon_exchanges() as site, running(tmp_path, *FAST, **public(site, NOTIFY_URLS=urls)) as program:
        found = wait_for(tmp_path, program, lambda s: len(s["orders"]) == 3)
        program.wait_for_cycles(program.cycles + 20)
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
        assert found["engine_mode"] == "ACTIVE"
        assert "Traceback" not in program.err
        assert "token" not in program.err


def test_heartbeat_is_sent_after_each_good_cycle_and_after_no_other(tmp_path: Path) -> None:
    with noon_exchanges() as site, web_server() as server:
        urls = public(site, HEARTBEAT_URL=beats_to(server))
        assert bot(tmp_path, "run", "--paper", "--once", **urls).returncode == 0
        assert received(server) == [("/beat-token", "")]
        site.coinbase_server.inject("*/products/*", DEAD, count=1000)
        silent = bot(tmp_path, "run", "--paper", "--once", **urls)
        assert silent.returncode == 4
        assert "coinbase did not answer" in silent.stderr
        assert received(server) == []
        site.coinbase_server.clear_faults()
        assert bot(tmp_path, "run", "--paper", "--once", **urls).returncode == 0
        assert received(server) == [("/beat-token", "")]


def test_heartbeat_that_is_refused_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    with noon_exchanges() as site, web_server(*[500] * 1000) as server:
        with running(tmp_path, *FAST, **public(site, HEARTBEAT_URL=beats_to(server))) as program:
            program.wait_for_cycles(20)
        assert program.err.count("heartbeat: HEARTBEAT_URL could not be pinged: status 500") == 1
        assert "beat-token" not in program.err
        assert len(received(server)) > 1


def test_service_manager_learns_of_start_life_and_end(tmp_path: Path) -> None:
    with noon_exchanges() as site, service_manager() as (address, receiver):
        with running(tmp_path, *FAST, **public(site, NOTIFY_SOCKET=address)) as program:
            states = [receiver.recv(4096).decode() for _ in range(5)]
            program.signal(signal.SIGTERM)
            assert program.wait() == 0
        receiver.setblocking(False)
        later = []
        while True:
            try:
                later.append(receiver.recv(4096).decode())
            except BlockingIOError:
                break
    life = "STATUS=PAPER ACTIVE equity $520.00"
    assert [state.strip() for state in states] == ["READY=1", "WATCHDOG=1", life, "WATCHDOG=1", life]
    assert later[-1] == "STOPPING=1"
    assert later.count("STOPPING=1") == 1


def test_simulation_tells_nobody(tmp_path: Path) -> None:
    with web_server() as server, service_manager() as (address, receiver):
        urls = {"NOTIFY_URLS": alerts_to(server), "HEARTBEAT_URL": beats_to(server), "NOTIFY_SOCKET": address}
        done = bot(tmp_path, "run", "--simulated", "--cycles", "3", "--interval", "0", **urls)
        assert done.returncode == 0
        assert received(server) == []
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(4096)
