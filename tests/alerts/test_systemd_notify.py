from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.alerts import systemd


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The end of the service manager, at a file and at an abstract address."""
    name = f"micro-capital-bot-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}" if request.param == "abstract" else name)
        receiver.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if request.param == "abstract" else name)
        yield receiver


def test_each_state_arrives_as_a_datagram_of_its_own(manager: socket.socket) -> None:
    assert systemd.ready()
    assert systemd.watchdog()
    assert systemd.stopping()
    assert [manager.recv(4096) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_status_is_one_assignment_whatever_it_says(manager: socket.socket) -> None:
    assert systemd.status("LIVE $98.35\nREADY=1 \u00e4")
    assert manager.recv(4096) == "STATUS=LIVE $98.35 READY=1 \u00e4".encode()


def test_manager_that_does_not_read_makes_nobody_wait(manager: socket.socket) -> None:
    sent = [systemd.watchdog() for _ in range(10_000)]  # more than any socket keeps
    assert sent[0]
    assert not sent[-1]
    assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative/path", "/nowhere/notify", "/" + "x" * 200])
def test_without_a_manager_nothing_is_sent_and_nothing_raised(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.ready()
    assert not systemd.status("text")
