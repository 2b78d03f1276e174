"""Sends alerts without ever making the bot wait: a queue here, Apprise in a worker process of its own.

The worker gets addresses and messages through its stdin, never through arguments or the environment,
and a minute. Nothing of an address but its scheme is logged.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from loguru import logger

from bot.alerts.events import Alert, Event
from bot.alerts.outbox import BODY_MAX, TITLE_MAX, Address, Message
from bot.alerts.worker import NOT_INSTALLED
from bot.settings_rules import Secret
from bot.settings_schema import AlertLevel, Settings

WORKER_TIMEOUT = timedelta(seconds=60)

WORKER_COMMAND = (sys.executable, "-m", "bot.alerts.worker")

HOW_TO_INSTALL = ".venv/bin/python -m pip install --require-hashes -r scripts/requirements-notify.txt"

CLOSE_ROUNDS = 2
"""At the end: the worker that runs, and one more for what has come meanwhile."""

_ROOT = Path(__file__).resolve().parents[2]

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *_PROXIES,
    *map(str.upper, _PROXIES),
)
"""What the worker sees of the environment, which may hold the venues' keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What a worker was given for one address."""

    address: Address
    messages: tuple[Message, ...]
    told_dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """A worker at work."""

    process: subprocess.Popen[bytes]
    answers: BinaryIO
    jobs: tuple[_Job, ...]
    started_at: datetime


def alert_levels(settings: Settings) -> dict[Event, AlertLevel]:
    """What the NOTIFY_ settings say about each event."""
    return {event: getattr(settings, f"notify_{event}") for event in Event}


class Notifier:
    """Takes alerts and sees to it that they are sent. No method raises, and only ``close`` waits."""

    def __init__(
        self,
        urls: Secret,
        levels: Mapping[Event, AlertLevel],
        memory: Mapping[str, object] | None = None,
        *,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._levels = levels
        self._command = command
        self._addresses = [
            Address(number=number, url=Secret(url)) for number, url in enumerate(urls.reveal().split(), start=1)
        ]
        self._batch: _Batch | None = None
        self._is_installed = True
        self._next_number = 1
        stored = (memory or {}).get("addresses")
        for address, item in zip(self._addresses, stored if isinstance(stored, list) else (), strict=False):
            if isinstance(item, dict):
                self._next_number = address.restore(item, first_number=self._next_number)

    def memory(self) -> dict[str, object]:
        """What has not been sent yet, for the next Notifier; plain JSON of bounded size, without addresses."""
        return {"addresses": [address.to_json() for address in self._addresses]}

    def tell(self, alert: Alert) -> None:
        """Let an alert wait for the next ``poll``, unless its event is off."""
        level = self._levels[alert.event]
        if level is AlertLevel.OFF or not self._is_installed:
            return
        message = Message(
            number=self._next_number,
            title=alert.title[:TITLE_MAX],
            body=alert.body[:BODY_MAX],
            silent=level is AlertLevel.SILENT,
        )
        self._next_number += 1
        for address in self._addresses:
            address.put(message)

    def poll(self, now: datetime) -> None:
        """Look after the worker; to be called once a cycle with the wall's time. Returns at once."""
        assert now.tzinfo is not None, "now must be tz-aware"
        if self._batch is not None:
            if self._batch.process.poll() is None:
                if now - self._batch.started_at < WORKER_TIMEOUT:
                    return
                self._batch.process.kill()
            self._reap(now)
        self._start(now)

    def close(self, now: datetime, *, wait_s: float) -> None:
        """Send what waits, for at most ``wait_s`` seconds; what is not sent then stays in ``memory()``."""
        deadline = time.monotonic() + wait_s
        for _ in range(CLOSE_ROUNDS):
            if self._batch is None and time.monotonic() < deadline:  # one that gets no time would count as a failure
                self._start(now)
            if self._batch is None:
                return
            try:
                self._batch.process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._batch.process.kill()
            self._reap(now)

    def _start(self, now: datetime) -> None:
        due = [address for address in self._addresses if address.is_due(now)] if self._is_installed else []
        if not due:
            return
        # Those that work come first: one that hangs takes the worker's whole minute.
        due.sort(key=lambda address: address.failures)
        jobs = tuple(
            _Job(address=address, messages=tuple(address.waiting), told_dropped=address.dropped) for address in due
        )
        # Files in memory: a pipe has room for 64 KB only, and who writes more waits for the reader.
        answers = _file_in_memory(b"")
        try:
            with _file_in_memory(_payload(jobs)) as questions:
                process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    self._command,
                    stdin=questions,
                    stdout=answers,
                    stderr=subprocess.DEVNULL,  # a traceback could hold an address
                    cwd=_ROOT,
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                    start_new_session=True,  # Ctrl-C is for the bot, which still has something to send then
                )
        except OSError as e:
            answers.close()
            logger.warning("alerts: the worker process could not be started: {}", e.strerror)
            for job in jobs:
                job.address.failed(job.messages[0].number, now)
            return
        self._batch = _Batch(process=process, answers=answers, jobs=jobs, started_at=now)

    def _reap(self, now: datetime) -> None:
        """Learn what a worker that has ended, or was killed, has done."""
        batch, self._batch = self._batch, None
        assert batch is not None
        code = batch.process.wait()
        with batch.answers as file:
            file.seek(0)
            answers = {tuple(line.split()) for line in file.read().decode(errors="replace").splitlines()}
        if code == NOT_INSTALLED:
            self._is_installed = False
            logger.warning("alerts: NOTIFY_URLS is set, but Apprise is not installed: {}", HOW_TO_INSTALL)
            return
        has_begun = any(words[:1] == ("begin",) for words in answers)
        for job in batch.jobs:
            number = str(job.address.number)
            sent = {m.number for m in job.messages if ("sent", number, str(m.number)) in answers}
            unsent = [m for m in job.messages if m.number not in sent]
            if sent:
                job.address.took(sent, told_dropped=job.told_dropped)
            if ("invalid", number) in answers:
                job.address.refuse()
            elif unsent and (("begin", number) in answers or not has_begun):
                # One that was not reached, because another took the whole minute, has not failed.
                job.address.failed(unsent[0].number, now)


def _payload(jobs: Sequence[_Job]) -> bytes:
    """What the worker reads; see there."""
    addresses = []
    for job in jobs:
        messages = [{"number": m.number, "title": m.title, "body": m.body, "silent": m.silent} for m in job.messages]
        if job.told_dropped:
            messages[0]["body"] = f"{job.messages[0].body}\n(Alerts that could not be sent before: {job.told_dropped}.)"
        addresses.append({"number": job.address.number, "url": job.address.url.reveal(), "messages": messages})
    return json.dumps({"addresses": addresses}).encode()


def _file_in_memory(content: bytes) -> BinaryIO:
    file = os.fdopen(os.memfd_create("alerts"), "w+b")
    file.write(content)
    file.seek(0)
    return file
