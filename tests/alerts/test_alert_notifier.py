"""Real workers with the real Apprise against a web server on this machine; the bot's time is given by hand."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alerts_rig import AT, HANG, PATIENCE_S, WebServer, web_server
from loguru import logger

from bot.alerts.events import Alert, Event
from bot.alerts.notifier import HOW_TO_INSTALL, Notifier, alert_levels
from bot.alerts.outbox import BODY_MAX, WAITING_MAX
from bot.alerts.worker import NOT_INSTALLED
from bot.settings import Settings
from bot.settings_rules import Secret
from bot.settings_schema import AlertLevel

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-that-nobody-may-see"
ALL_ON = dict.fromkeys(Event, AlertLevel.ON)
SECOND = timedelta(seconds=1)
AT_ONCE_S = 2.0
"""Far more than starting a process takes on a busy machine, far less than any wait for a server."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    told: list[str] = []
    sink = logger.add(told.append, format="{level}|{message}", backtrace=True, diagnose=True)
    yield told
    logger.remove(sink)


def an_alert(title: str = "LIVE: halted", event: Event = Event.HALT) -> Alert:
    return Alert(event=event, title=title, body="the daily loss limit is reached")


def url_of(*servers: WebServer) -> Secret:
    # The read timeout is longer than anything here, so that only the bot ends a worker that hangs.
    return Secret(" ".join(f"json://user:{TOKEN}@127.0.0.1:{server.port}/?rto=100&cto=100" for server in servers))


def worker_of(notifier: Notifier) -> subprocess.Popen[bytes]:
    assert notifier._batch is not None
    return notifier._batch.process


def finish(notifier: Notifier) -> None:
    """Wait until the worker has ended, without telling the notifier."""
    worker_of(notifier).wait(PATIENCE_S)


def test_alert_is_sent_by_a_worker_and_the_bot_does_not_wait(lines: list[str]) -> None:
    with web_server() as server:
        notifier = Notifier(url_of(server), ALL_ON)
        notifier.tell(an_alert())
        notifier.poll(AT)
        assert server.next_message() == ("LIVE: halted", "the daily loss limit is reached")
        finish(notifier)
        notifier.poll(AT + SECOND)
        assert notifier._batch is None
        assert notifier.memory() == Notifier(url_of(server), ALL_ON).memory()
        assert lines == []


def test_nothing_to_tell_starts_no_worker() -> None:
    notifier = Notifier(Secret("json://127.0.0.1:1/"), ALL_ON)
    notifier.poll(AT)
    assert notifier._batch is None
    without = Notifier(Secret(), ALL_ON)
    without.tell(an_alert())
    without.poll(AT)
    without.close(AT, wait_s=PATIENCE_S)
    assert without._batch is None


def test_event_that_is_off_is_not_told() -> None:
    notifier = Notifier(Secret("json://127.0.0.1:1/"), {**ALL_ON, Event.HALT: AlertLevel.OFF})
    notifier.tell(an_alert())
    notifier.poll(AT)
    assert notifier._batch is None


def test_levels_come_from_the_settings() -> None:
    levels = alert_levels(Settings(notify_halt=AlertLevel.OFF))
    assert levels.keys() == set(Event)
    assert levels[Event.HALT] is AlertLevel.OFF
    assert levels[Event.ORDER] is AlertLevel.ON
    assert levels[Event.DIGEST] is AlertLevel.SILENT


def test_silent_alert_is_sent_to_a_service_without_such_a_thing() -> None:
    with web_server() as server:
        notifier = Notifier(url_of(server), {**ALL_ON, Event.DIGEST: AlertLevel.SILENT})
        notifier.tell(an_alert("LIVE: $98.35", Event.DIGEST))
        notifier.close(AT, wait_s=PATIENCE_S)
        assert server.next_message()[0] == "LIVE: $98.35"


def test_worker_that_hangs_never_blocks_and_is_killed_after_a_minute(lines: list[str]) -> None:
    with web_server(HANG) as server:
        notifier = Notifier(url_of(server), ALL_ON)
        notifier.tell(an_alert())
        notifier.poll(AT)
        server.next_request()  # now it hangs
        worker = worker_of(notifier)
        before = time.monotonic()
        for seconds in range(1, 60):
            notifier.tell(an_alert(f"later {seconds}"))
            notifier.poll(AT + seconds * SECOND)
        assert time.monotonic() - before < AT_ONCE_S
        assert worker.poll() is None
        before = time.monotonic()
        notifier.poll(AT + 60 * SECOND)
        assert time.monotonic() - before < AT_ONCE_S
        assert worker.returncode == -9
        assert notifier._batch is None  # the address pauses
        assert any("next attempt in 30 s (1 of 24 have failed)" in line for line in lines)
        notifier.poll(AT + 89 * SECOND)
        assert notifier._batch is None
        notifier.poll(AT + 90 * SECOND)
        # The newest of 60 that there is room for; the first of them says that others are missing.
        expected = [f"later {seconds}" for seconds in range(60 - WAITING_MAX, 60)]
        received = [server.next_message() for _ in expected]
        assert [title for title, _ in received] == expected
        assert received[0][1].endswith("(Alerts that could not be sent before: 40.)")
        assert received[1][1] == "the daily loss limit is reached"
        notifier.close(AT + 91 * SECOND, wait_s=PATIENCE_S)
        memory: Any = notifier.memory()
        assert memory["addresses"][0]["dropped"] == 0


def test_server_that_fails_is_asked_again_after_growing_pauses(lines: list[str]) -> None:
    with web_server(500, 503) as server:
        notifier = Notifier(url_of(server), ALL_ON)
        notifier.tell(an_alert("first"))
        notifier.tell(an_alert("second"))
        now = AT
        for pause_s in (30, 60):
            notifier.poll(now)
            server.next_request()  # one only: the rest of the batch is left for the next time
            finish(notifier)
            notifier.poll(now)
            notifier.poll(now + (pause_s - 1) * SECOND)
            assert notifier._batch is None
            now += pause_s * SECOND
        notifier.poll(now)
        assert {server.next_message()[0] for _ in range(2)} == {"first", "second"}
        finish(notifier)
        notifier.poll(now)
        assert server.received.empty()
        name = "address 1 of NOTIFY_URLS (json)"
        assert lines == [
            f"WARNING|alerts: {name} did not take 2 alerts; next attempt in 30 s (1 of 24 have failed)\n",
            f"WARNING|alerts: {name} did not take 2 alerts; next attempt in 60 s (2 of 24 have failed)\n",
            f"INFO|alerts: {name} works again\n",
        ]


def test_address_that_fails_keeps_no_other_from_its_alerts() -> None:
    with web_server(500) as broken, web_server() as working:
        notifier = Notifier(url_of(broken, working), ALL_ON)
        notifier.tell(an_alert("first"))
        notifier.close(AT, wait_s=PATIENCE_S)
        notifier.tell(an_alert("second"))
        notifier.close(AT + SECOND, wait_s=PATIENCE_S)
        assert [working.next_message()[0] for _ in range(2)] == ["first", "second"]
        broken.next_request()
        assert broken.received.empty()  # its pause lasts
        notifier.close(AT + 30 * SECOND, wait_s=PATIENCE_S)
        assert {broken.next_message()[0] for _ in range(2)} == {"first", "second"}
        assert working.received.empty()  # nothing twice


def test_address_that_was_not_reached_before_the_kill_has_not_failed() -> None:
    with web_server(HANG) as hanging, web_server() as working:
        notifier = Notifier(url_of(hanging, working), ALL_ON)
        notifier.tell(an_alert())
        notifier.poll(AT)
        hanging.next_request()
        notifier.poll(AT + 60 * SECOND)  # kills the first worker, starts one for the address that was not reached
        assert working.next_message()[0] == "LIVE: halted"
        notifier.close(AT + 61 * SECOND, wait_s=PATIENCE_S)
        assert hanging.received.empty()


def test_close_gives_the_last_alerts_a_bounded_time_and_keeps_what_is_unsent() -> None:
    with web_server(HANG) as server:
        notifier = Notifier(url_of(server), ALL_ON)
        notifier.tell(an_alert())
        notifier.poll(AT)
        server.next_request()
        worker = worker_of(notifier)
        notifier.close(AT, wait_s=0.0)
        assert worker.returncode == -9
        memory = json.loads(json.dumps(notifier.memory()))
        assert TOKEN not in json.dumps(memory)
        # The next process, started by cron, goes on where this one ended, pause included.
        following = Notifier(url_of(server), ALL_ON, memory)
        following.poll(AT + 29 * SECOND)
        assert following._batch is None
        following.close(AT + 30 * SECOND, wait_s=PATIENCE_S)
        assert server.next_message()[0] == "LIVE: halted"


def test_address_that_got_no_time_at_the_end_comes_first_the_next_time() -> None:
    with web_server(HANG) as hanging, web_server() as working:
        notifier = Notifier(url_of(hanging, working), ALL_ON)
        notifier.tell(an_alert())
        notifier.poll(AT)
        hanging.next_request()
        notifier.close(AT, wait_s=0.0)
        memory = json.loads(json.dumps(notifier.memory()))
        assert [address["failures"] for address in memory["addresses"]] == [1, 0]
        following = Notifier(url_of(hanging, working), ALL_ON, memory)
        following.poll(AT + SECOND)
        assert working.next_message()[0] == "LIVE: halted"
        following.close(AT + SECOND, wait_s=PATIENCE_S)


def test_close_sends_what_has_come_while_a_worker_was_at_work() -> None:
    with web_server() as server:
        notifier = Notifier(url_of(server), ALL_ON)
        notifier.tell(an_alert("first"))
        notifier.poll(AT)
        notifier.tell(an_alert("second"))
        notifier.close(AT, wait_s=PATIENCE_S)
        assert [server.next_message()[0] for _ in range(2)] == ["first", "second"]


def test_token_is_in_no_argument_no_environment_no_log_and_no_output(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFY_URLS", TOKEN)
    monkeypatch.setenv("COINBASE_API_SECRET", "the venue's key")
    with web_server(HANG, 401) as server:
        notifier = Notifier(url_of(server), ALL_ON)
        notifier.tell(an_alert())
        notifier.poll(AT)
        server.next_request()
        process = Path(f"/proc/{worker_of(notifier).pid}")
        assert b"bot.alerts.worker" in (process / "cmdline").read_bytes()
        seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        assert TOKEN.encode() not in seen
        assert b"the venue's key" not in seen
        notifier.poll(AT + 60 * SECOND)
        notifier.close(AT + 90 * SECOND, wait_s=PATIENCE_S)
        server.next_request()
    assert len(lines) == 2
    written = capfd.readouterr()
    assert TOKEN not in "".join(lines) + repr(notifier) + repr(vars(notifier)) + written.out + written.err


def test_worker_that_crashes_says_nothing_of_its_addresses(lines: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; raise RuntimeError(sys.stdin.read())"
    notifier = Notifier(Secret(f"tgram://{TOKEN}/chat"), ALL_ON, command=(sys.executable, "-c", code))
    notifier.tell(an_alert())
    notifier.close(AT, wait_s=PATIENCE_S)
    name = "address 1 of NOTIFY_URLS (tgram)"
    assert lines == [f"WARNING|alerts: {name} did not take an alert; next attempt in 30 s (1 of 24 have failed)\n"]
    written = capfd.readouterr()
    assert TOKEN not in written.out + written.err


def test_worker_that_cannot_be_started_is_a_failure_like_others(lines: list[str]) -> None:
    notifier = Notifier(Secret("json://127.0.0.1:1/"), ALL_ON, command=("/nowhere/python",))
    notifier.tell(an_alert())
    notifier.close(AT, wait_s=PATIENCE_S)
    assert lines[0] == "WARNING|alerts: the worker process could not be started: No such file or directory\n"
    assert "next attempt in 30 s" in lines[1]


def test_missing_apprise_is_said_once_with_how_to_install_it(lines: list[str]) -> None:
    command = (sys.executable, "-c", f"raise SystemExit({NOT_INSTALLED})")
    notifier = Notifier(Secret("json://127.0.0.1:1/"), ALL_ON, command=command)
    for _ in range(3):
        notifier.tell(an_alert())
        notifier.close(AT, wait_s=PATIENCE_S)
    assert lines == [f"WARNING|alerts: NOTIFY_URLS is set, but Apprise is not installed: {HOW_TO_INSTALL}\n"]


def test_lock_that_the_hint_names_is_there() -> None:
    assert (ROOT / HOW_TO_INSTALL.rpartition(" ")[2]).is_file()


def test_address_that_apprise_does_not_know_is_given_up_at_once_and_the_others_work(lines: list[str]) -> None:
    with web_server() as server:
        notifier = Notifier(Secret(f"nosuch://{TOKEN} {url_of(server).reveal()}"), ALL_ON)
        notifier.tell(an_alert())
        notifier.close(AT, wait_s=PATIENCE_S)
        assert server.next_message()[0] == "LIVE: halted"
        notifier.tell(an_alert("second"))
        notifier.close(AT, wait_s=PATIENCE_S)
        assert server.next_message()[0] == "second"
    name = "address 1 of NOTIFY_URLS (nosuch)"
    assert lines == [f"WARNING|alerts: Apprise does not understand {name}; nothing is sent there\n"]


def test_more_text_than_a_pipe_holds_blocks_nobody() -> None:
    with web_server() as server:
        notifier = Notifier(url_of(server), ALL_ON)
        for number in range(WAITING_MAX):  # 20 texts of 3,000 characters, 6 bytes each on the way: 360,000 bytes
            notifier.tell(Alert(event=Event.HALT, title=str(number), body="\u20bf" * 2 * BODY_MAX))
        notifier.poll(AT)
        received = [server.next_message() for _ in range(WAITING_MAX)]
        assert received == [(str(number), "\u20bf" * BODY_MAX) for number in range(WAITING_MAX)]
        notifier.close(AT, wait_s=PATIENCE_S)


def test_the_bots_own_process_never_loads_apprise() -> None:
    code = "import sys, bot.alerts.notifier, bot.alerts.worker; raise SystemExit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_worker_ends_by_itself_when_nobody_ends_it() -> None:
    with web_server(HANG) as server:
        message = {"number": 1, "title": "t", "body": "b", "silent": False}
        job = {"addresses": [{"number": 1, "url": url_of(server).reveal(), "messages": [message]}]}
        code = "import bot.alerts.worker as worker; worker.LIFE_S = 1; worker.main()"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == -14  # SIGALRM


def test_worker_without_apprise_says_so_by_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.alerts import worker

    class Stdin:
        buffer = io.BytesIO(b'{"addresses": []}')

    monkeypatch.setattr(sys, "stdin", Stdin())
    monkeypatch.setattr("signal.alarm", lambda _: 0)
    monkeypatch.setattr("logging.disable", lambda: None)
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert worker.main() == NOT_INSTALLED


def test_open_files_do_not_grow() -> None:
    command = (sys.executable, "-c", "raise SystemExit(1)")
    notifier = Notifier(Secret("json://127.0.0.1:1/"), ALL_ON, command=command)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        notifier.tell(an_alert())
        notifier.close(AT + timedelta(hours=number), wait_s=PATIENCE_S)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
