from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with bot.py and a program that prints its arguments."""
    shutil.copy(ROOT / "bot.py", tmp_path)
    program(tmp_path, "def main():\n    import sys\n    print('program', sys.argv[1:])\n")
    return tmp_path


def program(home: Path, main: str) -> None:
    """Write bot/cli/main.py."""
    rooms = home / "bot" / "cli"
    rooms.mkdir(parents=True, exist_ok=True)
    (home / "bot" / "__init__.py").touch()
    (rooms / "__init__.py").touch()
    (rooms / "main.py").write_text(main, encoding="utf-8")


def start(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "BOT_RESTARTED"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=home,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def make_venv_python(home: Path) -> None:
    python = home / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "venv $*"\nexec {sys.executable!r} "$@"\n', encoding="utf-8")
    python.chmod(0o755)


def test_start_without_venv_runs_the_command_line(home: Path) -> None:
    run = start(home, "bot.py", "status", "a b")
    assert (run.returncode, run.stdout) == (0, "program ['status', 'a b']\n")


def test_start_with_venv_restarts_there_once_with_all_arguments(home: Path) -> None:
    make_venv_python(home)
    run = start(home, "bot.py", "status", "a b")
    # The stand-in is no environment of its own, so only the guard ends the restarting.
    assert (run.returncode, run.stdout) == (0, "venv bot.py status a b\nprogram ['status', 'a b']\n")


def test_start_with_missing_package_says_what_to_run(home: Path) -> None:
    program(home, "import a_package_that_nobody_has\n")
    run = start(home, "bot.py")
    assert run.returncode == 1
    assert run.stderr == (
        "The package a_package_that_nobody_has is not installed; `bash scripts/run` sets everything up\n"
    )


def test_start_with_missing_room_is_a_defect_and_shows_where(home: Path) -> None:
    shutil.rmtree(home / "bot" / "cli")
    run = start(home, "bot.py")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'bot.cli'"


def test_start_interrupted_while_importing_ends_quietly_with_130(home: Path) -> None:
    program(home, "raise KeyboardInterrupt\n")
    run = start(home, "bot.py")
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


def test_start_with_old_python_says_so_in_one_line(home: Path) -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 10, 12); sys.version = '3.10.12 (main)';"
        " runpy.run_path('bot.py', run_name='__main__')"
    )
    run = start(home, "-c", code)
    assert run.returncode == 1
    assert run.stderr == "bot.py needs Python 3.11 or newer, this is 3.10.12; try `bash scripts/run`\n"
