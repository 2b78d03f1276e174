from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def rows(name: str) -> dict[str, str]:
    """Package to the whole of its requirement: version, marker and hashes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(r"^([a-z0-9.-]+)(==(?:.*\\\n)*.*)$", text, flags=re.MULTILINE)
    assert found
    return dict(found)


def test_notify_lock_pins_every_package_with_hashes_and_no_address() -> None:
    for name, row in rows("scripts/requirements-notify.txt").items():
        assert re.match(r"==[0-9][^ ]* ", row), name
        assert "--hash=sha256:" in row, name
    assert "://" not in (ROOT / "scripts/requirements-notify.txt").read_text(encoding="utf-8")


def test_notify_lock_holds_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in map(Requirement, project["optional-dependencies"]["notify"]):
        version = rows("scripts/requirements-notify.txt")[requirement.name].removeprefix("==").split()[0]
        assert requirement.specifier.contains(version)


def test_notify_lock_comes_on_top_of_the_run_lock_and_is_repeated_by_the_tests_lock() -> None:
    notify = rows("scripts/requirements-notify.txt")
    assert notify.keys() & rows("requirements.txt").keys() == set()
    assert notify.items() <= rows("tests/requirements.txt").items()
