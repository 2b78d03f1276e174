"""ccxt's own session in front of a local exchange's core, without sockets: every request is answered in the process.

Above the transport nothing is changed: ccxt builds, signs, sends, reads and classifies as it does over a network.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from wire import Core, Reply, Request

Tamper = Callable[[Request, Reply], Reply]
"""What comes between the exchange's answer and the client. It may raise what a transport raises."""


def as_told(_request: Request, reply: Reply) -> Reply:
    """Change nothing."""
    return reply


class DirectLine(BaseAdapter):
    """A transport adapter that asks a core, at the time that ``now`` tells, and lets ``tamper`` change the answer."""

    def __init__(self, core: Core, now: Callable[[], datetime], tamper: Tamper = as_told) -> None:
        super().__init__()
        self.core = core
        self.now = now
        self.tamper = tamper
        self.requests = 0

    def send(  # noqa: PLR0917 - the base class takes them so
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: object = True,
        cert: object = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        self.requests += 1
        assert request.url is not None
        assert request.method is not None
        address = urlsplit(request.url)
        body = request.body or b""
        assert isinstance(body, str | bytes), "ccxt sends texts"
        asked = Request(
            request.method,
            address.path,
            address.query,
            {"host": address.netloc, **{name.lower(): str(value) for name, value in request.headers.items()}},
            body.encode() if isinstance(body, str) else body,
        )
        told = self.tamper(asked, self.core.handle(asked, self.now()))
        response = Response()
        response.status_code = told.status
        response.headers["Content-Type"] = told.content_type
        response.url = request.url
        response.request = request
        response._content = told.body
        return response

    def close(self) -> None:
        """Nothing is open."""


def connect(client: Any, line: DirectLine) -> None:
    """Put ccxt's client on a line, with the line's clock as its own and nonces that rise with each call."""
    client.session.close()
    client.session.adapters.clear()
    client.session.mount("http://", line)
    client.seconds = lambda: int(line.now().timestamp())
    client.milliseconds = lambda: int(line.now().timestamp() * 1000)
    # Many calls fit into one moment of a clock that stands: a time would be the same nonce again.
    client.nonce = itertools.count(int(line.now().timestamp() * 1000)).__next__
