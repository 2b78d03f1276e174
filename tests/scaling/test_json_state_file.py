"""The JSON state file: atomic, set aside when unusable, never lost."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path

import pytest

from bot.domain.errors import StateFileError
from bot.ports import StateFile
from bot.scaling.state import STATE_SCHEMA_VERSION, TierState
from bot.storage.state_file import KNOWN_SCHEMA_VERSION, JsonStateFile

STATE: dict[str, object] = {"schema_version": 1, "current_tier": "GROWTH", "last_equity": 260.5}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [True, False])
def test_state_file_saved_is_loaded_and_leaves_nothing_beside_it(tmp_path: Path, durable: bool) -> None:
    file: StateFile = JsonStateFile(tmp_path / "state.json", durable=durable)
    assert file.load() == {}
    file.save({"current_tier": "STARTER"})
    file.save(STATE)
    assert file.load() == STATE
    assert json.loads((tmp_path / "state.json").read_text(encoding="utf-8")) == STATE
    assert names_in(tmp_path) == ["state.json"]


def test_state_file_known_version_is_the_one_that_scaling_writes() -> None:
    assert KNOWN_SCHEMA_VERSION == STATE_SCHEMA_VERSION


def test_state_file_durable_syncs_file_before_the_rename_and_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    JsonStateFile(tmp_path / "state.json").save(STATE)
    JsonStateFile(tmp_path / "simulated.json", durable=False).save(STATE)
    assert steps == ["file", "rename", "folder", "rename"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"current_tier": "GRO',  # as a crash without atomic writes would leave it
        b"[1, 2]",
        b"null",
        b"\xff\xfe\x00",
        b'{"schema_version": "one"}',
        b'{"schema_version": true}',
        b"[" * 100_000,
    ],
)
def test_state_file_unusable_is_set_aside_whole_and_read_as_empty(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "bot.storage"):
        assert JsonStateFile(path).load() == {}
    assert names_in(tmp_path) == ["state.json.unreadable-1"]
    assert (tmp_path / "state.json.unreadable-1").read_bytes() == content
    assert "state.json.unreadable-1" in caplog.text


def test_state_file_refused_by_its_check_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"schema_version": 1, "current_tier": 5}', encoding="utf-8")
    assert JsonStateFile(path).load() == {"schema_version": 1, "current_tier": 5}
    assert JsonStateFile(path, check=TierState.from_json).load() == {}
    assert names_in(tmp_path) == ["state.json.unreadable-1"]


def test_state_file_set_aside_often_keeps_the_newest_five(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for number in range(1, 9):
        path.write_text(f"broken {number}", encoding="utf-8")
        assert JsonStateFile(path).load() == {}
    assert names_in(tmp_path) == [f"state.json.unreadable-{number}" for number in range(4, 9)]
    assert (tmp_path / "state.json.unreadable-8").read_text(encoding="utf-8") == "broken 8"


def test_state_file_of_newer_program_is_left_alone_and_named(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"schema_version": 7}', encoding="utf-8")
    with pytest.raises(StateFileError, match=r"state\.json: schema_version 7 is newer than 1"):
        JsonStateFile(path).load()
    assert path.read_text(encoding="utf-8") == '{"schema_version": 7}'


def test_state_file_half_written_temporary_file_is_ignored(tmp_path: Path) -> None:
    file = JsonStateFile(tmp_path / "state.json")
    file.save(STATE)
    (tmp_path / "state.json.k2j3.tmp").write_text('{"current_tier": "EL', encoding="utf-8")
    assert file.load() == STATE


def test_state_file_failed_rename_keeps_the_old_contents_and_names_path_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = JsonStateFile(tmp_path / "state.json")
    file.save(STATE)

    def full_disk(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full_disk)
        with pytest.raises(StateFileError, match=r"state\.json: cannot be written: No space left on device"):
            file.save({"current_tier": "ELITE"})
    assert file.load() == STATE
    assert names_in(tmp_path) == ["state.json"]


def test_state_file_unserialisable_state_keeps_the_old_contents(tmp_path: Path) -> None:
    file = JsonStateFile(tmp_path / "state.json")
    file.save(STATE)
    with pytest.raises(StateFileError, match=r"cannot be written: .*not JSON compliant"):
        file.save({"last_equity": float("nan")})
    assert file.load() == STATE
    assert names_in(tmp_path) == ["state.json"]


def test_state_file_where_a_folder_lies_says_so_and_moves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "state.json"
    folder.mkdir()
    with pytest.raises(StateFileError, match=r"state\.json: is a folder"):
        JsonStateFile(folder).load()
    with pytest.raises(StateFileError, match=r"state\.json: cannot be written"):
        JsonStateFile(folder).save(STATE)
    assert names_in(tmp_path) == ["state.json"]


def test_state_file_below_a_file_names_path_and_reason(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("", encoding="utf-8")
    with pytest.raises(StateFileError, match=r"occupied/state\.json: cannot be written"):
        JsonStateFile(tmp_path / "occupied" / "state.json").save(STATE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_state_file_in_read_only_folder_names_path_and_reason(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StateFileError, match=r"state\.json: cannot be written: Permission denied"):
            JsonStateFile(tmp_path / "state.json").save(STATE)
    finally:
        tmp_path.chmod(0o700)


def test_state_file_path_is_fixed_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    file = JsonStateFile("state.json")
    monkeypatch.chdir(tmp_path / "two")
    file.save(STATE)
    assert (names_in(tmp_path / "one"), names_in(tmp_path / "two")) == (["state.json"], [])


def test_state_file_behind_a_symbolic_link_is_replaced_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "state.json").symlink_to(tmp_path / "volume" / "state.json")
    JsonStateFile(tmp_path / "state.json").save(STATE)
    assert (tmp_path / "state.json").is_symlink()
    assert JsonStateFile(tmp_path / "volume" / "state.json").load() == STATE
