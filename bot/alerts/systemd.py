"""Tells systemd that the bot is ready and alive (`Type=notify`, `WatchdogSec=`); nothing elsewhere.

The protocol is sd_notify(3): datagrams to the unix socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Send an assignment such as ``READY=1``; False where no service manager listens. Never raises, never waits."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # an abstract socket: no file
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # a manager that does not read must not stop the bot
            sender.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def ready() -> bool:
    """Say that starting is over; `systemctl start` waits for it."""
    return notify("READY=1")


def watchdog() -> bool:
    """Say that the bot is alive; without it for WatchdogSec systemd starts it anew."""
    return notify("WATCHDOG=1")


def stopping() -> bool:
    """Say that the end has begun."""
    return notify("STOPPING=1")


def status(text: str) -> bool:
    """Set the line that `systemctl status` shows."""
    return notify(f"STATUS={' '.join(text.split())}")
