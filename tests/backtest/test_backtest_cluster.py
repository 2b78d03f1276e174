"""A Dask cluster of real processes on this computer finds what this process finds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sweep_rig import bench, searched

from bot.backtest.compiled import source_digest
from bot.backtest.sweep import _check_workers
from bot.domain.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60
NOWHERE = "tcp://127.0.0.1:1"
"""Nothing listens there."""


@contextmanager
def started(log: Path, *arguments: str, at: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """A process of Dask, mostly in the program's folder, ended by its id."""
    environment = {"PATH": os.defpath, "HOME": str(log.parent), "LANG": "C.UTF-8"}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
            cwd=at,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if arguments[0] == "scheduler" else errors,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS_MAX)


@contextmanager
def scheduler(folder: Path, *, folder_of_its_own: bool = False) -> Iterator[str]:
    """The address of a scheduler, as it says it itself."""
    asked = ("scheduler", "--host", "tcp://127.0.0.1", "--port", "0")
    with started(folder / "scheduler.txt", *asked, at=folder if folder_of_its_own else ROOT) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            _, found, address = line.partition("Scheduler at:")
            if found:
                yield address.strip()
                return
        raise AssertionError("".join(said))


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A scheduler with two workers over TCP."""
    from distributed import Client

    with scheduler(folder) as address:
        asked = ("worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        with started(folder / "first.txt", *asked), started(folder / "second.txt", *asked):
            with Client(address, timeout=SECONDS_MAX, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=SECONDS_MAX)
            yield address


def test_cluster_finds_what_this_process_finds(tmp_path: Path) -> None:
    with cluster(tmp_path) as address:
        assert repr(searched(bench(), cluster=address)) == repr(searched(bench()))


def test_scheduler_without_this_program_is_said(tmp_path: Path) -> None:
    with scheduler(tmp_path, folder_of_its_own=True) as address, pytest.raises(ConfigError, match="has not got bot"):
        searched(bench(), cluster=address)


def test_cluster_without_workers_is_said(tmp_path: Path) -> None:
    with scheduler(tmp_path) as address, pytest.raises(ConfigError, match="it has no workers; `dask worker tcp"):
        searched(bench(), cluster=address)


class Strange:
    """A cluster whose workers answer as they are told to."""

    def __init__(self, *answers: str) -> None:
        self._answers = answers

    def run(self, _function: Callable[[], str]) -> dict[str, str]:
        if not self._answers:
            raise ModuleNotFoundError(name="bot")
        return {f"tcp://worker{number}": answer for number, answer in enumerate(self._answers)}

    def run_on_scheduler(self, function: Callable[[], str]) -> str:
        return function()


def test_workers_with_other_sources_are_named() -> None:
    _check_workers(Strange(source_digest()), "tcp://here")
    with pytest.raises(ConfigError, match="tcp://here: tcp://worker1 has other sources or packages"):
        _check_workers(Strange(source_digest(), "0123"), "tcp://here")
    with pytest.raises(ConfigError, match="scheduler or a worker has not got bot; start `dask scheduler` and each"):
        _check_workers(Strange(), "tcp://here")


@pytest.mark.parametrize("address", [NOWHERE, "nonsense", "tcp://"])
def test_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr("bot.backtest.sweep.CONNECT_S", 0.5)
    with pytest.raises(ConfigError, match=f"--cluster {address}: (no Dask scheduler answers|must be an address)"):
        searched(bench(), cluster=address)
