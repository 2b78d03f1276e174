"""A venue that lets its answer trickle: every request ends in its time all the same."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.domain.errors import VenueError
from bot.ports import Unknown
from bot.venues.ccxt_calls import WHOLE_ANSWER_S, Caller
from bot.venues.ccxt_loader import load_exchange_classes
from bot.venues.coinbase_venue import coinbase_client
from bot.venues.kraken_venue import kraken_client

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
STARTS = {"body": HEAD + b"{", "headers": b"HTTP/1.1 200 OK\r\nX-Slow: ", "status line": b"HTTP/1"}
ALLOWED_S, DRIP_S, ENDED_WITHIN_S = 0.3, 0.05, 5.0


@dataclass
class Drip:
    """Answers with a beginning, then a blank each 50 ms for as long as the test runs."""

    start: bytes = STARTS["body"]
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self, task: Callable[..., None], *arguments: object) -> None:
        self.threads.append(threading.Thread(target=task, args=arguments))
        self.threads[-1].start()

    def serve(self) -> None:
        with suppress(OSError):  # the listener is shut down at the end
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                self.run(self.answer, connection)

    def answer(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):  # the client has hung up
            connection.recv(65_536)
            connection.sendall(self.start)
            while not self.over.wait(DRIP_S):
                connection.sendall(b" ")


@pytest.fixture
def drip() -> Iterator[Drip]:
    drip = Drip()
    drip.run(drip.serve)
    try:
        yield drip
    finally:
        drip.over.set()
        drip.listener.shutdown(socket.SHUT_RDWR)
        for thread in drip.threads:
            thread.join()
        drip.listener.close()


@pytest.fixture(params=[coinbase_client, kraken_client], ids=["coinbase", "kraken"])
def caller(request: pytest.FixtureRequest, drip: Drip) -> Iterator[Caller]:
    classes = load_exchange_classes()
    client = request.param(classes, url=drip.url, key="", secret="", rate_limited=False)
    assert client.whole_answer_s == WHOLE_ANSWER_S
    client.whole_answer_s = ALLOWED_S
    with closing(client.session):
        yield Caller(account="slow", client=client, errors=classes.errors, secrets=[], definite=lambda _: False)


def within_its_time(ask: Callable[[], Any]) -> Any:
    began = time.monotonic()
    try:
        return ask()
    finally:
        assert time.monotonic() - began < ENDED_WITHIN_S


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_read_of_an_answer_that_trickles_is_given_up_once(caller: Caller, drip: Drip, start: bytes) -> None:
    drip.start = start
    with pytest.raises(VenueError, match=r"^slow: time: no whole answer within 0.3 s$"):
        within_its_time(lambda: caller.read("time", caller.client.fetch_time))
    assert drip.connections == 1


def test_order_whose_answer_trickles_is_unknown(caller: Caller, drip: Drip) -> None:
    outcome = within_its_time(lambda: caller.send(caller.client.fetch_time))
    assert outcome == Unknown(reason="VenueError: no whole answer within 0.3 s")
    assert drip.connections == 1


def test_alarm_is_put_back_after_a_request_that_was_given_up(caller: Caller) -> None:
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        caller.send(caller.client.fetch_time)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_alarm_is_put_back_after_a_request_that_failed_in_time(caller: Caller, drip: Drip) -> None:
    drip.start = b"this is no HTTP\r\n"
    before = signal.getsignal(signal.SIGALRM)
    assert isinstance(caller.send(caller.client.fetch_time), Unknown)
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (before, (0.0, 0.0))
