"""The HTTP shell of the local exchanges: bytes through and back, and each fault as a client meets it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import ccxt  # type: ignore[import-untyped]
import pytest
from http_shell import (
    EMPTY_OBJECT,
    HTML_OK,
    LOST_REPLY,
    TIMEOUT_LATE,
    TIMEOUT_PLACED,
    ExchangeClock,
    ExchangeServer,
    Execution,
    Fault,
    FaultKind,
)
from wire import Reply, Request, json_reply

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
TIME = "/0/public/Time"
ORDER = "/0/private/AddOrder"


@dataclass
class TinyKraken:
    """As much of an exchange as the shell needs: it tells the time and counts orders."""

    requests: list[Request] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    ordered: threading.Event = field(default_factory=threading.Event)

    def handle(self, request: Request, now: datetime) -> Reply:
        self.requests.append(request)
        self.times.append(now)
        if request.path == "/broken":
            raise ValueError("a core with a fault in it")
        if request.path == ORDER:
            self.ordered.set()
            return json_reply({"error": [], "result": {"descr": {"order": ""}, "txid": ["OAAAAA-BBBBB-CCCCCC"]}})
        return json_reply({"error": [], "result": {"unixtime": int(now.timestamp()), "rfc1123": ""}})


@pytest.fixture
def core() -> TinyKraken:
    return TinyKraken()


@pytest.fixture
def server(core: TinyKraken) -> Iterator[ExchangeServer]:
    with ExchangeServer(core, ExchangeClock(START)) as running:
        yield running


@pytest.fixture
def client(server: ExchangeServer) -> Iterator[Any]:
    """The unmodified client; 10 s is its own default timeout."""
    kraken = ccxt.kraken({"apiKey": "key", "secret": "c2VjcmV0", "enableRateLimit": False})
    kraken.urls["api"] = {"public": server.url, "private": server.url}
    yield kraken
    kraken.session.close()


def open_connection(server: ExchangeServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=10)


def add_order(client: Any) -> Any:
    return client.privatePostAddOrder({"pair": "XXBTZUSD", "type": "buy", "ordertype": "market", "volume": "1"})


# ---- requests and replies


def test_request_reaches_the_core_undecoded_and_the_connection_is_kept(
    core: TinyKraken, server: ExchangeServer
) -> None:
    with closing(open_connection(server)) as connection:
        for _ in range(2):
            connection.request("POST", "/a%20b/c?x=1&y=%2C&x=2", b"nonce=1&\xff", {"API-Sign": "aB=="})
            reply = connection.getresponse()
            assert (reply.version, reply.status, reply.getheader("Content-Type")) == (11, 200, "application/json")
            assert reply.read() == b'{"error":[],"result":{"unixtime":1767614400,"rfc1123":""}}'
            assert connection.sock is not None, "the server ended a connection that it should keep"
    first = core.requests[0]
    assert (first.method, first.path, first.query, first.body) == (
        "POST",
        "/a%20b/c",
        "x=1&y=%2C&x=2",
        b"nonce=1&\xff",
    )
    assert first.headers["api-sign"] == "aB=="
    assert [seen.request for seen in server.log] == core.requests


def test_core_is_told_the_time_of_the_settable_clock(core: TinyKraken, server: ExchangeServer, client: Any) -> None:
    assert client.fetch_time() == 1_767_614_400_000
    server.clock.advance(timedelta(minutes=1))
    assert client.fetch_time() == 1_767_614_460_000
    server.clock.set(START + timedelta(hours=1))
    assert client.fetch_time() == 1_767_618_000_000
    with pytest.raises(AssertionError, match="forwards only"):
        server.clock.set(START)


def test_running_clock_keeps_its_distance_to_the_machines_time() -> None:
    ahead, plain = ExchangeClock.running(timedelta(hours=1)), ExchangeClock.running()
    first = plain.now()
    distance = ahead.now() - plain.now()
    assert abs(distance - timedelta(hours=1)) < timedelta(minutes=1)
    assert plain.now() >= first
    plain.advance(timedelta(hours=2))
    assert plain.now() >= first + timedelta(hours=2)


def test_requests_of_many_threads_are_answered_one_at_a_time(core: TinyKraken, server: ExchangeServer) -> None:
    def ask() -> None:
        with closing(open_connection(server)) as connection:
            for _ in range(5):
                connection.request("GET", TIME)
                connection.getresponse().read()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    with server.locked():
        for thread in threads:
            thread.start()
        assert core.requests == []  # nothing comes in while a test holds the lock
    for thread in threads:
        thread.join()
    assert len(core.requests) == 40


def test_error_in_the_core_is_answered_with_500_and_raised_at_the_end() -> None:
    def break_it() -> None:
        with (
            ExchangeServer(TinyKraken(), ExchangeClock(START)) as server,
            closing(open_connection(server)) as connection,
        ):
            connection.request("GET", "/broken")
            assert connection.getresponse().status == 500

    with pytest.raises(AssertionError, match="failed 1 times") as caught:
        break_it()
    assert isinstance(caught.value.__cause__, ValueError)


def test_end_of_the_block_ends_connections_that_clients_keep_open() -> None:
    with ExchangeServer(TinyKraken(), ExchangeClock(START)) as server:
        connection = open_connection(server)
        connection.request("GET", TIME)
        connection.getresponse().read()
    with closing(connection):
        assert connection.sock is not None
        assert connection.sock.recv(1) == b""


# ---- faults, as the unmodified client meets them


def test_fault_takes_its_count_of_requests_after_those_it_skips(
    core: TinyKraken, server: ExchangeServer, client: Any
) -> None:
    server.inject("*/Time", Fault(FaultKind.REPLY), skip=1, count=2)
    server.inject("*/Nothing", Fault(FaultKind.REPLY))
    client.fetch_time()
    for _ in range(2):
        with pytest.raises(ccxt.ExchangeNotAvailable, match="503"):
            client.fetch_time()
    client.fetch_time()
    assert len(core.requests) == 2
    assert server.faults_left() == 1
    server.clear_faults()
    assert server.faults_left() == 0


def test_fault_for_one_method_lets_the_other_through(server: ExchangeServer, client: Any) -> None:
    server.inject("/0/*", Fault(FaultKind.REPLY), method="POST")
    client.fetch_time()
    with pytest.raises(ccxt.ExchangeNotAvailable):
        add_order(client)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.RESET),
        Fault(FaultKind.CLOSE),
        Fault(FaultKind.SHORT_BODY),
        Fault(FaultKind.SHORT_BODY, execution=Execution.FIRST),
    ],
    ids=["reset", "close", "short", "short of the true answer"],
)
def test_broken_connection_is_a_network_error(
    fault: Fault, core: TinyKraken, server: ExchangeServer, client: Any
) -> None:
    client.fetch_time()  # the connection that breaks is one that was kept
    server.inject(TIME, fault)
    with pytest.raises(ccxt.NetworkError) as caught:
        client.fetch_time()
    assert type(caught.value) is ccxt.NetworkError
    client.fetch_time()
    assert len(core.requests) == (3 if fault.execution is Execution.FIRST else 2)


@pytest.mark.parametrize(
    ("kind", "error"),
    [(FaultKind.RESET, ConnectionResetError), (FaultKind.CLOSE, http.client.RemoteDisconnected)],
)
def test_reset_and_close_are_told_apart_on_the_wire(
    kind: FaultKind, error: type[Exception], server: ExchangeServer
) -> None:
    server.inject(TIME, Fault(kind))
    with closing(open_connection(server)) as connection:
        connection.request("GET", TIME)
        with pytest.raises(error) as caught:
            connection.getresponse()
        assert type(caught.value) is error


@pytest.mark.parametrize("fault", [HTML_OK, EMPTY_OBJECT], ids=["html", "empty object"])
def test_garbage_with_status_200_comes_back_as_if_it_were_an_answer(
    fault: Fault, core: TinyKraken, server: ExchangeServer, client: Any
) -> None:
    server.inject(ORDER, fault)
    assert add_order(client) in ("<html><body>Just a moment...</body></html>", {})
    assert core.requests == []


def test_lost_reply_has_placed_the_order_without_telling(core: TinyKraken, server: ExchangeServer, client: Any) -> None:
    server.inject(ORDER, LOST_REPLY)
    with pytest.raises(ccxt.NetworkError):
        add_order(client)
    assert [request.path for request in core.requests] == [ORDER]
    seen = server.log[-1]
    assert seen.fault is LOST_REPLY
    assert seen.reply is not None


def test_reset_after_execution_is_one_order_too(core: TinyKraken, server: ExchangeServer, client: Any) -> None:
    server.inject(ORDER, Fault(FaultKind.RESET, execution=Execution.FIRST))
    with pytest.raises(ccxt.NetworkError):
        add_order(client)
    assert core.ordered.is_set()


def test_timeout_ends_a_wait_for_an_order_that_was_placed(
    core: TinyKraken, server: ExchangeServer, client: Any
) -> None:
    client.timeout = 200  # ms
    server.inject(ORDER, TIMEOUT_PLACED)
    with pytest.raises(ccxt.RequestTimeout):
        add_order(client)
    assert core.ordered.is_set()


@pytest.mark.parametrize(("fault", "placed_at_once"), [(TIMEOUT_PLACED, True), (TIMEOUT_LATE, False)])
def test_order_is_placed_before_or_after_the_client_gives_up(
    fault: Fault, placed_at_once: bool, core: TinyKraken, server: ExchangeServer
) -> None:
    server.inject(ORDER, fault)
    with closing(open_connection(server)) as connection:
        connection.request("POST", ORDER)
        server.wait_for_faults()
        assert core.ordered.is_set() is placed_at_once
    assert core.ordered.wait(10), "the late order never came"


def test_wait_for_a_fault_that_nothing_meets_ends_with_an_error(server: ExchangeServer) -> None:
    server.inject("/never", Fault(FaultKind.RESET), count=3)
    with pytest.raises(TimeoutError, match="3 faults"):
        server.wait_for_faults(limit_s=0.01)


def test_silence_without_execution_places_nothing(core: TinyKraken, server: ExchangeServer, client: Any) -> None:
    client.timeout = 200  # ms
    server.inject(ORDER, Fault(FaultKind.HANG))
    with pytest.raises(ccxt.RequestTimeout):
        add_order(client)
    client.fetch_time()
    assert [request.path for request in core.requests] == [TIME]


def test_request_sent_twice_in_between_is_handled_twice(core: TinyKraken, server: ExchangeServer, client: Any) -> None:
    server.inject(ORDER, Fault(FaultKind.DUPLICATE))
    assert add_order(client)["result"]["txid"] == ["OAAAAA-BBBBB-CCCCCC"]
    assert [request.path for request in core.requests] == [ORDER, ORDER]
    assert len(server.log) == 1


def test_fault_for_a_body_waits_for_the_request_that_has_it(
    core: TinyKraken, server: ExchangeServer, client: Any
) -> None:
    server.inject(ORDER, EMPTY_OBJECT, body=("type=buy", "no such text"))
    add_order(client)
    assert (len(core.requests), server.faults_left()) == (1, 1)
    server.inject(ORDER, EMPTY_OBJECT, body=("type=buy",))
    assert add_order(client) == {}
    assert (len(core.requests), server.faults_left()) == (1, 1)
