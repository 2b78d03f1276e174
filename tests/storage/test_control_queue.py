"""Commands reach the running bot once, in order; garbage does not stop them."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot import ports
from bot.domain.errors import BotError
from bot.storage.control import Command, ControlQueue

T0 = datetime(2024, 3, 1, 12, 30, tzinfo=UTC)
STAMP = "2024-03-01T12:30:00+00:00"


@pytest.fixture
def queue(tmp_path: Path) -> ControlQueue:
    return ControlQueue(tmp_path / "control")


def test_queue_never_used_is_empty_and_makes_no_folder(queue: ControlQueue, tmp_path: Path) -> None:
    as_port: ports.ControlQueue = queue
    assert as_port.take_all() == []
    assert list(tmp_path.iterdir()) == []


def test_commands_are_taken_once_and_oldest_first(queue: ControlQueue, tmp_path: Path) -> None:
    queue.put("flatten", now=T0 + timedelta(microseconds=2))
    queue.put(Command.HALT, now=T0)
    queue.put("resume", now=T0 + timedelta(microseconds=1), reset_drawdown=True)
    queue.put("pause", now=T0 + timedelta(days=1))
    taken = queue.take_all()
    assert [entry["command"] for entry in taken] == ["halt", "resume", "flatten", "pause"]
    assert taken[0] == {"command": Command.HALT, "at": STAMP}
    assert taken[1]["reset_drawdown"] is True
    assert queue.take_all() == []
    assert list((tmp_path / "control").iterdir()) == []


def test_command_of_other_process_is_taken(queue: ControlQueue, tmp_path: Path) -> None:
    ControlQueue(tmp_path / "control").put("halt", now=T0)
    assert [entry["command"] for entry in queue.take_all()] == ["halt"]


def test_command_file_is_private_and_named_by_its_time(queue: ControlQueue, tmp_path: Path) -> None:
    queue.put("halt", now=T0)
    (file,) = (tmp_path / "control").iterdir()
    # 2024-03-01 12:30 UTC is 1 709 296 200 s after 1970
    assert file.name.startswith("1709296200000000000-")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_commands_of_the_same_moment_both_wait(queue: ControlQueue) -> None:
    queue.put("halt", now=T0)
    queue.put("halt", now=T0)
    assert len(queue.take_all()) == 2


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("explode", {}),
        ("halt", {"reset_drawdown": True}),
        ("resume", {"book_out": 1}),
        ("resume", {"reset_drawdown": "yes"}),
        ("resume", {"reset_drawdown": True, "why": "x"}),
    ],
)
def test_put_of_what_is_no_command_raises_and_queues_nothing(
    queue: ControlQueue, command: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(BotError, match=command):
        queue.put(command, now=T0, **arguments)
    assert queue.take_all() == []


def test_put_to_full_queue_raises_until_it_is_taken(queue: ControlQueue) -> None:
    for n in range(100):
        queue.put("halt", now=T0 + timedelta(seconds=n))
    with pytest.raises(BotError, match=r"100 commands wait.*at most 100"):
        queue.put("halt", now=T0 + timedelta(seconds=100))
    assert len(queue.take_all()) == 100
    queue.put("halt", now=T0)
    assert len(queue.take_all()) == 1


def test_take_of_more_than_the_bound_comes_in_parts(queue: ControlQueue, tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    for n in range(103):
        (tmp_path / "control" / f"{n:019d}-x.json").write_text(f'{{"command": "halt", "at": "{n}"}}')
    first = queue.take_all()
    assert [entry["at"] for entry in first] == [str(n) for n in range(100)]
    assert [entry["at"] for entry in queue.take_all()] == ["100", "101", "102"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff\xfe",
        b'{"command": "halt", "at"',
        b"[1, 2]",
        b'{"command": "explode", "at": "x"}',
        b'{"command": ["halt"], "at": "x"}',
        b'{"command": "halt"}',
        b'{"command": "resume", "at": "x", "reset_drawdown": 1}',
        b"[" * 4096,
        b'{"command": "halt", "at": "x"}' + b" " * 5000 + b"x",
    ],
)
def test_garbage_is_set_aside_and_the_rest_is_taken(queue: ControlQueue, tmp_path: Path, garbage: bytes) -> None:
    queue.put("halt", now=T0)
    file = tmp_path / "control" / "0-garbage.json"
    file.write_bytes(garbage)
    assert queue.take_all() == [{"command": "halt", "at": STAMP}]
    assert [left.name for left in file.parent.iterdir()] == ["0-garbage.unreadable"]
    assert file.with_suffix(".unreadable").read_bytes() == garbage


def test_folder_named_like_a_command_is_set_aside(queue: ControlQueue, tmp_path: Path) -> None:
    (tmp_path / "control" / "0-folder.json").mkdir(parents=True)
    queue.put("halt", now=T0)
    assert len(queue.take_all()) == 1
    assert (tmp_path / "control" / "0-folder.unreadable").is_dir()


def test_unfinished_file_of_a_killed_put_is_not_taken(queue: ControlQueue, tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / ".1709296200000000000-ab.json.tmp").write_text('{"command": "halt"')
    assert queue.take_all() == []


def test_put_where_no_folder_can_be_made_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BotError, match="cannot be written"):
        ControlQueue(tmp_path / "file").put("halt", now=T0)
