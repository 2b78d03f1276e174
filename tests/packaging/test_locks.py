from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
RUN_LOCK = ROOT / "requirements.txt"
TEST_LOCK = ROOT / "tests" / "requirements.txt"
MUTATION_LOCK = ROOT / "tests" / "requirements-mutation.txt"
RESEARCH_LOCK = ROOT / "scripts" / "requirements-research.txt"
REPORT_LOCK = ROOT / "scripts" / "requirements-report.txt"
LOCKS = {
    "run": RUN_LOCK,
    "test": TEST_LOCK,
    "mutation": MUTATION_LOCK,
    "research": RESEARCH_LOCK,
    "report": REPORT_LOCK,
}
DISTRIBUTIONS_MAX = 45
INSTALLED_MB_MAX = 200


def locked(lock: Path) -> dict[str, tuple[str, int]]:
    """Name to (version, number of hashes) of every row; a row ends where no backslash continues it."""
    rows: dict[str, tuple[str, int]] = {}
    text = re.sub(r"\\\n", " ", lock.read_text(encoding="utf-8"))
    for line in text.splitlines():
        if line.strip().startswith("#"):
            continue
        match = re.match(r"([a-z0-9.-]+)==(\S+)", line)
        assert match is not None, f"{lock.name}: not a pinned requirement: {line!r}"
        assert match[1] not in rows, f"{lock.name}: {match[1]} is there twice"
        rows[match[1]] = (match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}(?= |$)", line)))
    return rows


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_lock_every_requirement_is_pinned_with_hashes(lock: Path) -> None:
    rows = locked(lock)
    assert rows
    assert [name for name, (_, hashes) in rows.items() if hashes == 0] == []


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_lock_names_no_address_path_or_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert "index" not in text
    assert not re.search(r"(^|\s)/", text), "an absolute path of the machine that wrote the lock"


def test_locks_hold_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        RUN_LOCK: project["dependencies"],
        TEST_LOCK: project["optional-dependencies"]["test"],
        MUTATION_LOCK: project["optional-dependencies"]["mutation"],
        RESEARCH_LOCK: project["optional-dependencies"]["research"],
        REPORT_LOCK: project["optional-dependencies"]["report"],
    }
    for lock, requirements in wanted.items():
        rows = locked(lock)
        for requirement in map(Requirement, requirements):
            version, _ = rows[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} against {version}: run scripts/lock"


def test_locks_come_on_top_of_each_other() -> None:
    assert locked(RUN_LOCK).keys() & locked(TEST_LOCK).keys() == set()
    assert locked(MUTATION_LOCK).keys() & (locked(RUN_LOCK).keys() | locked(TEST_LOCK).keys()) == set()


def test_run_lock_is_small() -> None:
    assert len(locked(RUN_LOCK)) <= DISTRIBUTIONS_MAX


def test_run_lock_installed_is_small() -> None:
    total = 0
    for name in locked(RUN_LOCK):
        try:
            files = distribution(name).files
        except PackageNotFoundError:
            pytest.skip(f"{name} is not installed for this Python, so the size of the set is not known")
        assert files, f"{name} lists no files"
        paths = [Path(str(file.locate())) for file in files]
        total += sum(path.stat().st_size for path in paths if path.exists())
    assert total <= INSTALLED_MB_MAX * 1_000_000


def test_repository_names_no_registry() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the repository's own files are not known")
    listing = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    # Which registry packages come from is the user's own configuration; the hashes say what is right.
    named = re.compile(rb"pypi\.|pythonhosted|index-url|find-links")
    here = Path(__file__).resolve()
    naming = [
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_file() and path != here and named.search(path.read_bytes())
    ]
    assert paths
    assert naming == []
