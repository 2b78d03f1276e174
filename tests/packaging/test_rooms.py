from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def contract_names() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [contract["name"] for contract in project["tool"]["importlinter"]["contracts"]]


def lint_imports(project: Path) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
        cwd=project,
        env={**environment, "COLUMNS": "300"},  # so that no contract's name is wrapped
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the rooms into which a wrong import can be planted."""
    shutil.copytree(ROOT / "bot", tmp_path / "bot", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_rooms_do_not_shadow_the_standard_library() -> None:
    # `python3 bot/auto_scaling_config.py` puts bot/ itself on sys.path: a room called `copy` would break imports.
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "bot").iterdir() if path.name != "__init__.py"}
    assert "domain" in rooms
    assert rooms & sys.stdlib_module_names == set()


def test_bot_file_is_at_most_30_lines() -> None:
    assert len((ROOT / "bot.py").read_text(encoding="utf-8").splitlines()) <= 30


def test_import_contracts_hold(copy: Path) -> None:
    code, output = lint_imports(copy)
    assert code == 0, output
    assert all(f"{name} KEPT" in output for name in contract_names()), output


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("domain", "import bot.ports", "arrows"),
        ("scaling", "import bot.books", "arrows"),
        ("engine", "import bot.storage", "arrows"),
        ("storage", "import bot.scaling", "adapters"),
        ("views", "import bot.engine", "engine"),
        ("cli", "import bot.venues", "venues"),
        ("cli", "import bot.decide", "decisions"),
        ("decide", "import sqlite3", "pure: decisions"),
        ("scaling", "from decimal import Decimal", "pure: decisions"),
        ("domain", "import time", "pure: nouns"),
        ("books", "from loguru import logger", "pure: nouns"),
    ],
)
def test_import_contracts_planted_import_is_found(copy: Path, room: str, line: str, contract: str) -> None:
    (copy / "bot" / room / "planted.py").write_text(f"{line}\n", encoding="utf-8")
    code, output = lint_imports(copy)
    broken = [name for name in contract_names() if f"{name} BROKEN" in output]
    assert code == 1, output
    assert [name for name in broken if name.startswith(contract)], output
    assert f"bot.{room}.planted -> " in output


def test_import_contracts_new_room_must_find_its_place(copy: Path) -> None:
    (copy / "bot" / "attic.py").write_text("", encoding="utf-8")
    code, output = lint_imports(copy)
    assert code == 1, output
    assert "bot.attic" in output
