"""Sends notifications with Apprise, in a process of its own: `python -m bot.alerts.worker`.

Reads one JSON object from stdin:

    {"addresses": [{"number": 1, "url": "...", "messages": [
        {"number": 7, "title": "...", "body": "...", "silent": false}]}]}

and writes a line to stdout for each step: ``begin ADDRESS``, ``sent ADDRESS MESSAGE``,
``failed ADDRESS``, ``invalid ADDRESS``. After a failure the rest of that address is left for another time.
Exit code ``NOT_INSTALLED`` where Apprise is missing.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NOT_INSTALLED = 3

LIFE_S = 90
"""After this the process ends by itself: the bot, which ends it after 60 s, may be gone."""

SILENT_PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "tgram": "silent=yes",
        "ntfy": "priority=min",
        "ntfys": "priority=min",
        "pover": "priority=low",
        "gotify": "priority=low",
        "gotifys": "priority=low",
        "bark": "level=passive",
        "barks": "level=passive",
        "discord": "flags=4096",
    }
)
"""Services that can be told to make no sound, and how; 4096 is Discord's SUPPRESS_NOTIFICATIONS."""


def main() -> int:
    """Send what stdin holds; returns the exit code."""
    signal.alarm(LIFE_S)
    logging.disable()  # the services' own messages can hold tokens
    job = json.load(sys.stdin.buffer)
    try:
        import apprise  # noqa: PLC0415, F401 - an extra that may be missing, and 50 MB that only this process pays
    except ModuleNotFoundError:
        return NOT_INSTALLED
    for address in job["addresses"]:
        _send_all(address)
    return 0


def _send_all(address: Mapping[str, Any]) -> None:
    _say("begin", address["number"])
    for message in address["messages"]:
        outcome = _send(prepared(address["url"], silent=message["silent"]), message["title"], message["body"])
        if outcome != "sent":
            _say(outcome, address["number"])
            return
        _say("sent", address["number"], message["number"])


def _send(url: str, title: str, body: str) -> str:
    import apprise  # noqa: PLC0415 - see main

    service = apprise.Apprise.instantiate(url)
    if service is None:
        return "invalid"
    sender = apprise.Apprise()
    sender.add(service)
    # Said to be plain text, so that a service that takes HTML gets it escaped.
    return "sent" if sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT) else "failed"


def prepared(url: str, *, silent: bool) -> str:
    """The address with what we want of the service; of a parameter that is there twice, Apprise takes the last."""
    wanted = [] if "overflow=" in url else ["overflow=split"]  # a long summary in parts rather than refused
    parameter = SILENT_PARAMETERS.get(url.partition("://")[0].lower())
    if silent and parameter is not None:
        wanted.append(parameter)
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(wanted)}" if wanted else url


def _say(*words: object) -> None:
    print(*words, flush=True)  # at once: this process may be ended at any moment


if __name__ == "__main__":
    raise SystemExit(main())
