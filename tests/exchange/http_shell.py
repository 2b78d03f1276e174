"""The HTTP shell of a local exchange: sockets, threads, one lock, a clock that can be set, and faults on order.

    with ExchangeServer(core, clock) as server:
        client.urls["api"]["rest"] = server.url
        server.inject("*/orders", Fault(FaultKind.CLOSE, execution=Execution.FIRST))  # placed, reply lost
        with server.locked():
            core.state.set_price(...)

Nothing here sleeps: a reply that never comes is one that waits until the client has hung up.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from wire import Core, Reply, Request

LOG_KEPT = 10_000
"""Requests that the shell remembers."""

IDLE_LIMIT_S = 60.0
"""A connection without a request, or a client that never hangs up, is given up after this."""

UNAVAILABLE = Reply(503, b"Service Unavailable", "text/plain")


class FaultKind(StrEnum):
    """What the client gets instead of the answer."""

    REPLY = "reply"
    """``Fault.reply``: any status and body (html with 200, ``{}``, 503 ...)."""
    HANG = "hang"
    """Nothing, until the client has hung up: its timeout."""
    RESET = "reset"
    """A TCP reset."""
    CLOSE = "close"
    """An orderly end of the connection without a byte."""
    SHORT_BODY = "short body"
    """The headers of the true answer and the first half of its body, then the end of the connection."""
    DUPLICATE = "duplicate"
    """Something in between sends the request twice: the exchange is asked both times, the client gets the second
    answer."""


class Execution(StrEnum):
    """Whether the exchange does what it was asked although the client does not learn of it."""

    SKIPPED = "skipped"
    FIRST = "first"
    """Before the fault: done, but the answer is lost."""
    LATE = "late"
    """After the fault; with HANG: after the client has given up."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. SHORT_BODY cuts the answer of the core where that is asked first, else ``reply``."""

    kind: FaultKind
    reply: Reply = UNAVAILABLE
    execution: Execution = Execution.SKIPPED


HTML_OK = Fault(FaultKind.REPLY, Reply(200, b"<html><body>Just a moment...</body></html>", "text/html"))
"""A page in front of the exchange answers in its place."""
EMPTY_OBJECT = Fault(FaultKind.REPLY, Reply(200, b"{}"))
"""Success, with nothing in it."""
LOST_REPLY = Fault(FaultKind.CLOSE, execution=Execution.FIRST)
"""Execute, then fail: the order is placed and the client is not told."""
TIMEOUT_PLACED = Fault(FaultKind.HANG, execution=Execution.FIRST)
"""Placed, and the client's timeout ends the wait."""
TIMEOUT_LATE = Fault(FaultKind.HANG, execution=Execution.LATE)
"""Placed only after the client's timeout has ended the wait: a first look finds nothing."""


@dataclass(slots=True)
class _Scripted:
    pattern: str
    method: str
    body: tuple[bytes, ...]
    fault: Fault
    skip: int
    count: int


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request as the shell saw it; ``reply`` is the core's, None where it was not asked (yet)."""

    at: datetime
    request: Request
    reply: Reply | None
    fault: Fault | None


class ExchangeClock:
    """The exchange's time: it stands where it was put, or runs with this machine's time, ahead or behind.

    ``ExchangeClock(moment)`` stands; ``ExchangeClock.running(ahead)`` runs. It never goes backwards.
    """

    def __init__(self, moment: datetime) -> None:
        assert moment.tzinfo is not None, "the exchange's time must be tz-aware"
        self._moment = moment
        self._ahead: timedelta | None = None
        self._lock = threading.Lock()

    @classmethod
    def running(cls, ahead: timedelta = timedelta(0)) -> Self:
        """A clock that runs, ``ahead`` of this machine's (negative: behind): for programs with a real clock."""
        clock = cls(_machine_time() + ahead)
        clock._ahead = ahead
        return clock

    def now(self) -> datetime:
        """Present time of the exchange, tz-aware UTC, never earlier than before."""
        with self._lock:
            if self._ahead is not None:
                self._moment = max(self._moment, _machine_time() + self._ahead)
            return self._moment

    def set(self, moment: datetime) -> None:
        """Put a standing clock to a moment, not an earlier one."""
        with self._lock:
            assert self._ahead is None, "a running clock is moved with advance()"
            assert moment >= self._moment, f"time runs forwards only: {moment} is before {self._moment}"
            self._moment = moment

    def advance(self, step: timedelta) -> None:
        """Let time jump forwards."""
        assert step >= timedelta(0), f"time runs forwards only: {step}"
        with self._lock:
            if self._ahead is None:
                self._moment += step
            else:
                self._ahead += step


class ExchangeServer:
    """One core behind HTTP/1.1 on a free port of 127.0.0.1, from ``with`` to the end of the block.

    An error in the core is answered with status 500 and raised again at the end of the block, so that no
    test passes over a broken exchange.
    """

    def __init__(self, core: Core, clock: ExchangeClock) -> None:
        self.core = core
        self.clock = clock
        self.log: deque[Exchanged] = deque(maxlen=LOG_KEPT)
        self.failures: list[BaseException] = []
        self._lock = threading.RLock()
        self._fault_taken = threading.Condition(self._lock)
        self._scripted: list[_Scripted] = []
        self._http = _HttpServer(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), name="exchange")

    @property
    def url(self) -> str:
        """Base address without a trailing slash."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()
        if error is None and self.failures:
            raise AssertionError(f"the local exchange failed {len(self.failures)} times") from self.failures[0]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep requests out while a test looks into the core or changes it."""
        with self._lock:
            yield

    # ---- faults

    def inject(
        self, path: str, fault: Fault, *, count: int = 1, skip: int = 0, method: str = "*", body: Sequence[str] = ()
    ) -> None:
        """Answer the next ``count`` requests to a path with a fault, after letting ``skip`` of them through.

        ``path`` and ``method`` are shell patterns (``*/AddOrder``); each text of ``body`` must be somewhere in the
        request's. Of several that fit, the oldest takes a request.
        """
        assert count > 0, f"count must be above 0, was {count}"
        assert skip >= 0, f"skip must not be negative, was {skip}"
        with self._lock:
            texts = tuple(text.encode() for text in body)
            self._scripted.append(_Scripted(path, method, texts, fault, skip, count))

    def faults_left(self) -> int:
        """Faults that are still waiting for their request."""
        with self._lock:
            return sum(scripted.count for scripted in self._scripted)

    def wait_for_faults(self, limit_s: float = 30.0) -> None:
        """Return when every injected fault has met its request (what is executed FIRST is done then).

        Raises TimeoutError after ``limit_s``.
        """
        with self._fault_taken:
            if not self._fault_taken.wait_for(lambda: not self._scripted, limit_s):
                raise TimeoutError(f"{self.faults_left()} faults still wait for a request after {limit_s} s")

    def clear_faults(self) -> None:
        """Forget the faults that are still waiting."""
        with self._lock:
            self._scripted.clear()

    def _take_fault(self, request: Request) -> Fault | None:
        for scripted in self._scripted:
            if not (fnmatchcase(request.path, scripted.pattern) and fnmatchcase(request.method, scripted.method)):
                continue
            if not all(text in request.body for text in scripted.body):
                continue
            if scripted.skip:
                scripted.skip -= 1
                return None
            scripted.count -= 1
            if not scripted.count:
                self._scripted.remove(scripted)
            return scripted.fault
        return None

    # ---- requests, from the handler threads

    def answer(self, request: Request) -> tuple[Reply | None, Fault | None]:
        """The core's answer, None where a fault keeps the core from being asked now, and that fault."""
        with self._lock:
            fault = self._take_fault(request)
            now = self.clock.now()
            twice = fault is not None and fault.kind is FaultKind.DUPLICATE
            if twice:
                self._ask(request, now)
            asked = fault is None or twice or fault.execution is Execution.FIRST
            reply = self._ask(request, now) if asked else None
            self.log.append(Exchanged(now, request, reply, fault))
            self._fault_taken.notify_all()
            return reply, fault

    def answer_late(self, request: Request) -> None:
        """Let the core do what nobody waits for any more."""
        with self._lock:
            self._ask(request, self.clock.now())

    def _ask(self, request: Request, now: datetime) -> Reply:
        try:
            return self.core.handle(request, now)
        except Exception as e:  # noqa: BLE001 - kept, and raised again where the test ends
            self.failures.append(e)
            return Reply(500, b"the local exchange itself failed", "text/plain")


class _HttpServer(ThreadingHTTPServer):
    """Threads that are joined at the end: connections are hung up first."""

    daemon_threads = False

    def __init__(self, exchange: ExchangeServer) -> None:
        self.exchange = exchange
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection, so that its thread ends."""
        with self._connections_lock:
            for connection in self._connections:
                _end_of_stream(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may vanish at any time; anything else is a failure of this file."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            self.exchange.failures.append(error)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_LIMIT_S
    server: _HttpServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, body)
        reply, fault = self.server.exchange.answer(request)
        if fault is None or fault.kind is FaultKind.DUPLICATE:
            assert reply is not None
            self._send(reply, reply.body)
            return
        self._fail(fault, reply)
        if fault.execution is Execution.LATE:
            self.server.exchange.answer_late(request)

    def _fail(self, fault: Fault, reply: Reply | None) -> None:
        if fault.kind is FaultKind.REPLY:
            self._send(fault.reply, fault.reply.body)
            return
        self.close_connection = True
        if fault.kind is FaultKind.HANG:
            self.connection.recv(1, socket.MSG_PEEK)  # returns when the client has hung up
        elif fault.kind is FaultKind.RESET:
            # Lingering for no time makes the close a reset; it happens when this handler lets go of its files.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault.kind is FaultKind.SHORT_BODY:
            whole = reply or fault.reply
            assert len(whole.body) > 1, "a body of less than two bytes cannot be cut"
            self._send(whole, whole.body[: len(whole.body) // 2])

    def _send(self, reply: Reply, body: bytes) -> None:
        """Status, headers of the whole reply and ``body`` in one piece, so that no packet waits for another."""
        head = (
            f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}\r\n"
            f"Content-Type: {reply.content_type}\r\n"
            f"Content-Length: {len(reply.body)}\r\n\r\n"
        )
        self.wfile.write(head.encode() + body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def _machine_time() -> datetime:
    return datetime.now(tz=UTC)  # noqa: TID251  this is the clock of the tests' exchange


def _end_of_stream(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself
