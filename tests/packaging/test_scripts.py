"""The set-up of scripts/run and scripts/test, with a stand-in for Python: nothing is installed, no network."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [
    "scripts/run",
    "scripts/test",
    "scripts/lock",
    "scripts/mutate",
    "scripts/storms",
    "scripts/soak",
    "scripts/simulate",
    "scripts/_setup.sh",
    ".ci/run",
]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

# `-m venv --clear DIR` makes DIR/bin/python out of the stand-in itself; `-m pip` installs nothing; both are logged.
# Anything else is done by the real Python.
WORKING_PYTHON = f"""#!/bin/bash
case "$*" in
    "-m venv "*)
        echo venv >>"$CALLS"
        rm -rf -- "$4" && mkdir -p -- "$4/bin" && cp -- "$0" "$4/bin/python" ;;
    "-m pip "*)
        echo "pip ${{@: -1}} $*" >>"$CALLS"
        exit "${{PIP_EXIT:-0}}" ;;
    "-m pytest "*)
        echo "pytest in $PWD: ${{*:3}}" ;;
    *)
        exec {sys.executable!r} "$@" ;;
esac
"""
# As on Debian without python3-venv: a folder is begun, then ensurepip is missed.
PYTHON_WITHOUT_VENV = f"""#!/bin/bash
case "$*" in
    "-m venv "*)
        mkdir -p -- "$4/bin"
        echo "The virtual environment was not created successfully because ensurepip is not available."
        exit 1 ;;
    *)
        exec {sys.executable!r} "$@" ;;
esac
"""
PYTHON_WITH_FULL_DISK = f"""#!/bin/bash
case "$*" in
    "-m venv "*)
        mkdir -p -- "$4/bin"
        echo "No space left on device"
        exit 1 ;;
    *)
        exec {sys.executable!r} "$@" ;;
esac
"""
OLD_PYTHON = f"""#!/bin/bash
[ "$1" = -c ] && exec {sys.executable!r} -c "import sys; sys.version_info = (3, 9, 2); $2"
exit 1
"""
NO_PYTHON = "#!/bin/bash\nexit 127\n"
PROGRAM = "import os, sys\nprint(sys.argv[1:], os.getcwd(), os.environ.get('PYTHONPATH'))\n"


class Clone:
    """A clone in a folder with spaces, and the programs that its scripts find first."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        self.programs = folder / "programs"
        self.elsewhere = folder / "elsewhere"
        self.calls_file = folder / "calls"
        self.venv = self.root / ".venv"
        for path in (self.root / "scripts", self.root / "tests", self.programs, self.elsewhere):
            path.mkdir(parents=True)
        for name in ("scripts/run", "scripts/test", "scripts/_setup.sh"):
            shutil.copy(ROOT / name, self.root / name)
        (self.root / "requirements.txt").write_text("first\n", encoding="utf-8")
        (self.root / "tests" / "requirements.txt").write_text("first test\n", encoding="utf-8")
        (self.root / "bot.py").write_text(PROGRAM, encoding="utf-8")

    def install_program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def install_python(self, text: str) -> None:
        self.install_program("python3", text)
        for name in ("python3.13", "python3.12", "python3.11"):
            self.install_program(name, NO_PYTHON)

    def begin(self, script: str, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", str(self.root / "scripts" / script), *arguments],
            cwd=self.elsewhere,
            env={
                **os.environ,
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "CALLS": str(self.calls_file),
                **(variables or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(
        self, script: str, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> tuple[int | None, str, str]:
        process = self.begin(script, *arguments, variables=variables)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def take_calls(self) -> list[str]:
        """What was made and installed since the last look, without pip's options."""
        if not self.calls_file.exists():
            return []
        lines = self.calls_file.read_text(encoding="utf-8").splitlines()
        self.calls_file.unlink()
        return [line.partition(" -m ")[0].replace(f"{self.root}/", "") for line in lines]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    result = Clone(tmp_path)
    result.install_python(WORKING_PYTHON)
    return result


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_stops_at_the_first_failure_and_parses(script: str) -> None:
    path = ROOT / script
    assert "\nset -euo pipefail\n" in path.read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script != "scripts/_setup.sh"])
def test_script_can_be_executed(script: str) -> None:
    assert (ROOT / script).stat().st_mode & stat.S_IXUSR


def test_run_first_time_installs_the_run_lock_with_hashes_and_starts_the_bot(clone: Clone) -> None:
    code, out, err = clone.call("run", "status", "a b", variables={"PYTHONPATH": "/somebody/else"})
    assert code == 0, err
    assert out == f"['status', 'a b'] {clone.elsewhere} None\n"
    assert f"Making the virtual environment .venv with Python {VERSION}." in err
    assert err.splitlines()[-1] == "Ready."
    assert "--require-hashes" in clone.calls_file.read_text(encoding="utf-8")
    assert clone.take_calls() == ["venv", "pip requirements.txt"]


def test_run_second_time_installs_nothing_and_says_nothing(clone: Clone) -> None:
    clone.call("run")
    clone.take_calls()
    code, _, err = clone.call("run")
    assert (code, err) == (0, "")
    assert clone.take_calls() == []


def test_test_runs_pytest_in_the_clone_after_installing_both_locks(clone: Clone) -> None:
    code, out, err = clone.call("test", "-k", "a or b")
    assert code == 0, err
    workers = len(os.sched_getaffinity(0)) + 1
    assert out == f"pytest in {clone.root}: --numprocesses {workers} -k a or b\n"
    assert clone.take_calls() == ["venv", "pip requirements.txt", "pip tests/requirements.txt"]


def test_run_after_test_and_test_after_run_install_only_what_is_missing(clone: Clone) -> None:
    clone.call("run")
    assert clone.take_calls() == ["venv", "pip requirements.txt"]
    clone.call("test")
    assert clone.take_calls() == ["pip tests/requirements.txt"]
    clone.call("run")
    clone.call("test")
    assert clone.take_calls() == []


def test_run_with_a_new_lock_installs_it_into_the_same_environment(clone: Clone) -> None:
    clone.call("test")
    clone.take_calls()
    (clone.root / "requirements.txt").write_text("second\n", encoding="utf-8")
    clone.call("run")
    assert clone.take_calls() == ["pip requirements.txt"]
    clone.call("test")
    assert clone.take_calls() == []
    (clone.root / "requirements.txt").write_text("first\n", encoding="utf-8")
    clone.call("run")
    assert clone.take_calls() == ["pip requirements.txt"]


def test_run_after_a_failed_installation_makes_everything_anew(clone: Clone) -> None:
    code, out, err = clone.call("run", variables={"PIP_EXIT": "1"})
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("The packages of requirements.txt could not be installed.")
    clone.take_calls()
    assert clone.call("run")[0] == 0
    assert clone.take_calls() == ["venv", "pip requirements.txt"]


def test_run_with_a_broken_environment_makes_it_anew(clone: Clone) -> None:
    clone.call("run")
    clone.take_calls()
    (clone.venv / "bin" / "python").unlink()  # as after an upgrade that took the old Python away
    assert clone.call("run")[0] == 0
    assert clone.take_calls() == ["venv", "pip requirements.txt"]


def test_run_in_its_own_activated_but_half_made_environment_makes_it_anew(clone: Clone) -> None:
    binaries = clone.venv / "bin"
    binaries.mkdir(parents=True)
    shutil.copy(clone.programs / "python3", binaries / "python3")
    path = f"{binaries}:{clone.programs}:{os.environ['PATH']}"
    code, _, err = clone.call("run", variables={"PATH": path, "VIRTUAL_ENV": str(clone.venv)})
    assert code == 0, err
    assert clone.take_calls() == ["venv", "pip requirements.txt"]


def test_run_twice_at_once_installs_once(clone: Clone) -> None:
    both = [clone.begin("run", "one"), clone.begin("run", "two")]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert [out.split()[0] for out, _ in ended] == ["['one']", "['two']"]
    assert clone.take_calls() == ["venv", "pip requirements.txt"]


@pytest.mark.parametrize(("user", "sudo"), [(0, ""), (1000, "sudo ")])
def test_run_without_venv_module_prints_the_line_that_installs_it(clone: Clone, user: int, sudo: str) -> None:
    clone.install_python(PYTHON_WITHOUT_VENV)
    clone.install_program("id", f"#!/bin/bash\necho {user}\n")
    code, out, err = clone.call("run")
    assert (code, out) == (1, "")
    line = f"    {sudo}apt-get update && {sudo}apt-get install --yes python{VERSION}-venv"
    assert err.splitlines()[-1] == line
    assert not clone.venv.exists()


def test_run_without_space_shows_what_python_said(clone: Clone) -> None:
    clone.install_python(PYTHON_WITH_FULL_DISK)
    code, _, err = clone.call("run")
    assert code == 1
    assert "No space left on device" in err
    assert "apt-get" not in err
    assert not clone.venv.exists()


def test_run_with_old_python_names_what_was_found(clone: Clone) -> None:
    clone.install_python(OLD_PYTHON)
    code, out, err = clone.call("run")
    assert (code, out) == (1, "")
    assert err.startswith("This needs Python 3.11 or newer; found: python3 is 3.9.2.")
    assert not clone.venv.exists()


def test_run_without_python_says_so(clone: Clone) -> None:
    clone.install_python(NO_PYTHON)
    code, _, err = clone.call("run")
    assert code == 1
    assert err.startswith("This needs Python 3.11 or newer; found: none.")


def test_run_takes_the_first_python_that_is_new_enough(clone: Clone) -> None:
    clone.install_python(OLD_PYTHON)
    clone.install_program("python3.12", WORKING_PYTHON)
    code, _, err = clone.call("run")
    assert code == 0, err
    assert clone.take_calls() == ["venv", "pip requirements.txt"]
