"""What waits for each address of NOTIFY_URLS: bounded, with its retries, and storable without the address."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from loguru import logger

from bot.alerts.events import stored_time
from bot.settings_rules import Secret

WAITING_MAX = 20
"""Messages that wait for an address at most; the oldest are dropped."""

TITLE_MAX, BODY_MAX = 150, 3000
"""Characters."""

FAILURES_MAX = 24
"""Attempts in a row, about five hours, after which what waits for an address is dropped."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=15)
"""After the first failure, doubled after each further one; the longest is also what news may have to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One alert on its way to one address."""

    number: int
    title: str
    body: str
    silent: bool


@dataclass(slots=True, kw_only=True)
class Address:
    """One service and what waits for it; ``name`` says which one it is without giving its token away."""

    number: int
    url: Secret
    waiting: deque[Message] = field(default_factory=deque)
    dropped: int = 0
    failures: int = 0
    """In a row."""
    not_before: datetime | None = None
    is_valid: bool = True

    @property
    def scheme(self) -> str:
        """What stands before ``://``; it is no secret."""
        match = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]{0,31})://", self.url.reveal())
        return match[1].lower() if match is not None else "unreadable"

    @property
    def name(self) -> str:
        """For the log."""
        return f"address {self.number} of NOTIFY_URLS ({self.scheme})"

    def put(self, message: Message) -> None:
        """Let a message wait; where too many wait already, the oldest is dropped."""
        if not self.is_valid:
            return
        if len(self.waiting) == WAITING_MAX:
            self.waiting.popleft()
            self.dropped += 1
            logger.warning("alerts: too many wait for {}; {} dropped so far", self.name, self.dropped)
        self.waiting.append(message)

    def is_due(self, now: datetime) -> bool:
        """Whether something waits and no pause holds it back."""
        # A pause that is longer than any was set before the machine's clock was put back.
        return bool(self.waiting) and (
            self.not_before is None or not timedelta(0) < self.not_before - now <= LONGEST_PAUSE
        )

    def took(self, numbers: Set[int], *, told_dropped: int) -> None:
        """Forget what has been sent, and with it that ``told_dropped`` others were not."""
        self.waiting = deque(message for message in self.waiting if message.number not in numbers)
        self.dropped -= told_dropped
        if self.failures:
            logger.info("alerts: {} works again", self.name)
        self.failures = 0
        self.not_before = None

    def failed(self, number: int, now: datetime) -> None:
        """Try again after a pause, others before the message that failed; or give up. Says which."""
        # It may be this one message that the service refuses: the others must not wait behind it.
        self.waiting = deque(sorted(self.waiting, key=lambda message: message.number == number))
        self.failures += 1
        if self.failures >= FAILURES_MAX:
            self.dropped += len(self.waiting)
            logger.warning(
                "alerts: {} has failed {} times in a row: {} dropped", self.name, self.failures, len(self.waiting)
            )
            self.waiting.clear()
            self.not_before = None
            return
        pause = min(FIRST_PAUSE * 2 ** min(self.failures - 1, 10), LONGEST_PAUSE)
        self.not_before = now + pause
        logger.warning(
            "alerts: {} did not take {}; next attempt in {:.0f} s ({} of {} have failed)",
            self.name,
            "an alert" if len(self.waiting) == 1 else f"{len(self.waiting)} alerts",
            pause.total_seconds(),
            self.failures,
            FAILURES_MAX,
        )

    def refuse(self) -> None:
        """Send nothing there any more: Apprise does not understand the address."""
        self.is_valid = False
        self.waiting.clear()
        logger.warning("alerts: Apprise does not understand {}; nothing is sent there", self.name)

    def to_json(self) -> dict[str, object]:
        """What to remember; plain JSON, without the address itself."""
        return {
            "number": self.number,
            "scheme": self.scheme,
            "dropped": self.dropped,
            "failures": self.failures,
            "not_before": self.not_before.isoformat() if self.not_before is not None else "",
            "waiting": [{"title": m.title, "body": m.body, "silent": m.silent} for m in self.waiting],
        }

    def restore(self, stored: Mapping[str, object], *, first_number: int) -> int:
        """Take over what an earlier process left for the same address; returns the next free message number."""
        number = first_number
        if stored.get("number") != self.number or stored.get("scheme") != self.scheme:
            return number
        waiting, dropped, failures = (stored.get(name) for name in ("waiting", "dropped", "failures"))
        for item in waiting if isinstance(waiting, list) else ():
            title, body = str(item.get("title")), str(item.get("body"))
            self.put(Message(number=number, title=title, body=body, silent=item.get("silent") is True))
            number += 1
        self.dropped = dropped if isinstance(dropped, int) else 0
        self.failures = failures if isinstance(failures, int) else 0
        self.not_before = stored_time(stored.get("not_before"))
        return number
