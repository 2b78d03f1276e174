"""What passes between the HTTP shell and the core of one local exchange."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it came: nothing decoded, so that signatures can be checked over it.

    ``method`` in upper case; ``path`` from the first slash up to (without) ``?``; ``query`` the raw text after
    ``?`` ('' for none); ``headers`` with lower-case keys; ``body`` b'' for none.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer; the shell adds Content-Length."""

    status: int
    body: bytes
    content_type: str = "application/json"


def json_reply(data: object, status: int = 200) -> Reply:
    """An answer of compact JSON; ``data`` holds what the json module can write, Decimals as strings."""
    return Reply(status, json.dumps(data, separators=(",", ":")).encode())


class Core(Protocol):
    """One exchange without sockets, clock and threads; the shell calls it under one lock."""

    def handle(self, request: Request, now: datetime) -> Reply:
        """Answer a request that arrives at ``now`` (tz-aware UTC, never earlier than at the call before)."""
        ...
