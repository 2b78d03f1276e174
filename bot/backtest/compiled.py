"""Compiles plain functions of the decision core and of the backtest, with all plain functions that they call.

The source stays as it is: each function is made anew with its callees replaced by their compiled forms. Compiled code
is kept on disk under a name that follows from every source file, so that none outlives a change.
"""

from __future__ import annotations

import dis
import hashlib
import os
import platform
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

SOURCES = ("backtest", "decide")
PACKAGE = "bot."
KEPT_BESIDE = 1
"""Folders of compiled code beside the present one: some 20 MB each."""
SMALL = 130
"""Instructions of a function that is put into its callers."""

HOW_TO_INSTALL = (
    "`.venv/bin/python -m pip install --no-deps --require-hashes --requirement scripts/requirements-research.txt` "
    "installs them"
)


def is_available() -> bool:
    """Whether the compiler is installed (the ``research`` extra)."""
    return find_spec("numba") is not None and find_spec("numpy") is not None


def is_cached() -> bool:
    """Whether compiled code of this state of the sources is on disk: else the first run takes about a minute."""
    return _cache_folder().is_dir()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a plain function and all plain functions of this program that it calls, each once."""
    from numba.core import config

    folder = _cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = os.access(folder, os.W_OK)
    except OSError:  # a service may have no home of its own: then it is compiled each time
        kept = False
    if kept:
        _tidy(folder)
        setattr(config, "CACHE_DIR", str(folder))  # noqa: B010 - the compiler's settings are made at run time
    made: Callable[..., Any] = _compile(function, {}, kept=kept)
    return made


def _tidy(folder: Path) -> None:
    """Keep the newest code of other states of the sources, and no more of them."""
    others = [path for path in folder.parent.glob("*") if path.is_dir() and path != folder]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-KEPT_BESIDE]:
        shutil.rmtree(path, ignore_errors=True)


def _compile(function: Callable[..., Any], done: dict[Callable[..., Any], Any], *, kept: bool) -> Any:
    import numba

    assert isinstance(function, FunctionType), f"{function!r} is no plain function"
    if function in done:
        return done[function]
    names = dict(function.__globals__)
    for name in _globals_of(function):
        callee = names.get(name)
        if isinstance(callee, FunctionType) and callee.__module__.startswith(PACKAGE):
            names[name] = _compile(callee, done, kept=kept)
    plain = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    plain.__module__ = function.__module__
    plain.__qualname__ = function.__qualname__
    # What a call is handed, the whole account, costs more than what a small function does: these are put into their
    # callers, which takes almost half of a run's time away. The large ones would take minutes to compile there.
    is_small = sum(1 for _ in dis.get_instructions(function)) <= SMALL
    done[function] = numba.njit(cache=kept, error_model="python", forceinline=is_small)(plain)
    return done[function]


def _globals_of(function: FunctionType) -> set[str]:
    """Names of the globals that a function reads; its other names are attributes."""
    return {str(step.argval) for step in dis.get_instructions(function) if step.opname == "LOAD_GLOBAL"}


def source_digest() -> str:
    """Tell states of the sources and the compiler apart."""
    from importlib.metadata import PackageNotFoundError, version  # where nothing is compiled its loading is saved

    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for room in SOURCES:
        for path in sorted((root / room).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for package in ("numba", "llvmlite", "numpy"):
        try:
            digest.update(f"{package} {version(package)}".encode())
        except PackageNotFoundError:
            continue
    digest.update(platform.python_version().encode())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    """One folder per state of the sources and the compiler."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118 - raises nothing
    return Path(home) / "micro-capital-bot" / source_digest()
