from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from alerts_rig import HANG, PATIENCE_S, WebServer, web_server
from loguru import logger

from bot.alerts.heartbeat import Heartbeat
from bot.settings_rules import Secret

TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    told: list[str] = []
    sink = logger.add(told.append, format="{level}|{message}", backtrace=True, diagnose=True)
    yield told
    logger.remove(sink)


def a_heartbeat(server: WebServer) -> Heartbeat:
    return Heartbeat(Secret(f"http://127.0.0.1:{server.port}/{TOKEN}"))


def test_ping_asks_for_the_address(lines: list[str]) -> None:
    with web_server() as server:
        heartbeat = a_heartbeat(server)
        heartbeat.ping()
        assert server.next_request() == (f"/{TOKEN}", "")
        heartbeat.close(wait_s=PATIENCE_S)
    assert lines == []


def test_redirect_is_followed(lines: list[str]) -> None:
    with web_server(302) as server:
        heartbeat = a_heartbeat(server)
        heartbeat.ping()
        assert [server.next_request()[0] for _ in range(2)] == [f"/{TOKEN}", "/moved"]
        heartbeat.close(wait_s=PATIENCE_S)
    assert lines == []


def test_failure_is_logged_once_without_the_address_until_it_works_again(lines: list[str]) -> None:
    with web_server(500, 404, 200, 503) as server:
        heartbeat = a_heartbeat(server)
        for _ in range(4):
            heartbeat.ping()
            server.next_request()
            heartbeat.close(wait_s=PATIENCE_S)
    assert lines == [
        "WARNING|heartbeat: HEARTBEAT_URL could not be pinged: status 500; tried again after each cycle\n",
        "INFO|heartbeat: HEARTBEAT_URL answers again\n",
        "WARNING|heartbeat: HEARTBEAT_URL could not be pinged: status 503; tried again after each cycle\n",
    ]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"http://127.0.0.1:1/{TOKEN}", "ConnectionRefusedError"),
        (f"http://127.0.0.1:{TOKEN}/", "InvalidURL"),
        (f"http://127.0.0.1:1/{TOKEN} with a space", "InvalidURL"),
    ],
)
def test_address_that_cannot_be_asked_raises_nothing(lines: list[str], url: str, problem: str) -> None:
    heartbeat = Heartbeat(Secret(url))
    for _ in range(2):
        heartbeat.ping()
        heartbeat.close(wait_s=PATIENCE_S)
    assert lines == [f"WARNING|heartbeat: HEARTBEAT_URL could not be pinged: {problem}; tried again after each cycle\n"]


def test_monitor_that_hangs_holds_nobody_up_and_gets_one_ping_at_a_time() -> None:
    with web_server(HANG) as server:
        heartbeat = a_heartbeat(server)
        before = time.monotonic()
        for _ in range(50):
            heartbeat.ping()
        assert time.monotonic() - before < 2.0
        server.next_request()
        assert sum(thread.name == "heartbeat" for thread in threading.enumerate()) == 1
        heartbeat.close(wait_s=0.0)
        assert heartbeat._thread is not None
        assert heartbeat._thread.is_alive()
        assert heartbeat._thread.daemon
        assert server.received.empty()
    heartbeat.close(wait_s=PATIENCE_S)


def test_no_thread_to_be_had_is_logged_and_no_error(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with web_server() as server:
        heartbeat = a_heartbeat(server)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            heartbeat.ping()
            heartbeat.close(wait_s=0.0)
        heartbeat.ping()
        server.next_request()
        heartbeat.close(wait_s=PATIENCE_S)
    assert [line.partition("|")[0] for line in lines] == ["WARNING", "INFO"]


def test_without_an_address_nothing_happens() -> None:
    heartbeat = Heartbeat(Secret())
    heartbeat.ping()
    heartbeat.close(wait_s=PATIENCE_S)
    assert heartbeat._thread is None
