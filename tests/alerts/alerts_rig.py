"""Facts of cycles by hand, and a web server on this machine that answers, refuses or hangs as told."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bot.alerts.events import CycleFacts
from bot.domain.orders import Order, OrderState, OrderType, Purpose, Side
from bot.domain.refusal import GuardReading

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("views", "engine")]

AT = datetime(2026, 3, 2, 14, 1, tzinfo=UTC)
PATIENCE_S = 60.0
"""Nothing here takes that long: reached only where something is broken."""


def a_cycle(snapshot: Any = None, **changes: Any) -> CycleFacts:
    """A quiet cycle of a live account."""
    values: dict[str, Any] = {
        "at": AT,
        "mode": "LIVE",
        "tier_change": "",
        "engine_mode": "ACTIVE",
        "reason": "",
        "guards_activated": (),
        "rejections": (),
        "snapshot": snapshot,
    }
    return CycleFacts(**{**values, **changes})


def a_reading(name: str, used: float = 6.21, limit: float = 6.0, unit: str = "pct") -> GuardReading:
    return GuardReading(
        name=name, used=used, limit=limit, unit=unit, active=True, action="no entries until the next UTC day"
    )


def a_rejected_order(number: int = 1, symbol: str = "BTC/USD") -> Order:
    return Order(
        client_order_id=f"id-{number}",
        account="kraken",
        symbol=symbol,
        intent_number=number,
        purpose=Purpose.STOP,
        side=Side.SELL,
        type=OrderType.STOP,
        quantity=Decimal("0.00020000"),
        stop_price=Decimal(90_000),
        reason="protective stop",
        state=OrderState.REJECTED,
        created_at=AT,
        updated_at=AT,
    )


HANG = 0
"""Instead of a status: no answer until the server is closed."""


class WebServer:
    """Answers with the statuses of ``script``, then with 200; ``received`` holds what came, in its order."""

    def __init__(self, script: Sequence[int]) -> None:
        self.script = list(script)
        self.received: queue.Queue[tuple[str, str]] = queue.Queue()
        self._released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                status = server.script.pop(0) if server.script else 200
                server.received.put((self.path, body))
                if status == HANG:
                    server._released.wait(PATIENCE_S)
                    return
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "/moved")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def next_request(self) -> tuple[str, str]:
        """Wait for a request: its path and body."""
        return self.received.get(timeout=PATIENCE_S)

    def next_message(self) -> tuple[str, str]:
        """Wait for a notification of Apprise's json service: its title and text."""
        sent = json.loads(self.next_request()[1])
        return sent["title"], sent["message"]

    def close(self) -> None:
        self._released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(PATIENCE_S)


@contextmanager
def web_server(*script: int) -> Iterator[WebServer]:
    server = WebServer(script)
    try:
        yield server
    finally:
        server.close()
