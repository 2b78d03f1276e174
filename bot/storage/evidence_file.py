"""The evidence as a small JSON file: written whole, read strictly."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from bot.domain.errors import ConfigError
from bot.domain.evidence import EvidenceFile, Expectation, HitRate, Rules
from bot.storage.whole_file import write_whole

SCHEMA_VERSION = 1
BYTES_MAX = 200_000
NUMBER_MAX = 1e12
LEAST_YEAR, MOST_YEAR = 2009, 2200
EVIDENCE_NAME = "evidence.json"
MODEL_NAME = "model.json"
SHIPPED_FOLDER = Path(__file__).resolve().parents[1] / "shipped"
"""What comes with the program; files of the same name in STATE_DIR are of the user and go first."""

_Record = TypeVar("_Record", Rules, Expectation, HitRate, EvidenceFile)
_RECORDS = (Rules, Expectation, HitRate)


def evidence_path(state_dir: Path, name: str = EVIDENCE_NAME) -> Path:
    """Return the user's own file where there is one, else the shipped one."""
    own = state_dir / name
    return own if own.exists() or own.is_symlink() else SHIPPED_FOLDER / name


def evidence_document(evidence: EvidenceFile) -> dict[str, Any]:
    """Plain JSON values of it."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(evidence)}
    for name in ("built_at", "from_at", "to_at"):
        document[name] = document[name].isoformat()
    document["files"] = [{"name": name, "sha256": digest} for name, digest in evidence.files]
    return document


def write_evidence(path: Path, evidence: EvidenceFile) -> None:
    """Write it atomically. Raises OSError."""
    write_whole(path, json.dumps(evidence_document(evidence), indent=1, allow_nan=False) + "\n")


def read_evidence(path: Path) -> EvidenceFile | None:
    """Read it; None where there is no file. Raises ConfigError naming file and field where it cannot be used."""
    if path.is_symlink() and not path.exists():
        raise ConfigError(f"{path}: the link leads nowhere; without it the shipped file counts")
    if not path.exists():
        return None
    if not path.is_file():
        raise ConfigError(f"{path}: must be a file; without it the shipped one counts")
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}") from e
    try:
        if len(content) > BYTES_MAX:
            raise ValueError(f"more than {BYTES_MAX} bytes")  # noqa: TRY301 - told like the others
        document = json.loads(content)
        version = document.pop("schema_version", None) if isinstance(document, dict) else None
        if type(version) is not int or version != SCHEMA_VERSION:
            raise ValueError(f"schema_version: must be {SCHEMA_VERSION}")  # noqa: TRY301 - told like the others
        document["files"] = [[file["name"], file["sha256"]] for file in document["files"]]
        evidence = _record(EvidenceFile, document, "")
        _check(evidence)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as e:
        what = f"{e.args[0]} is missing" if isinstance(e, KeyError) else str(e)
        raise ConfigError(
            f"{path}: no evidence that this version can use: {what}; `evidence FOLDER` builds it, and without the file "
            f"the shipped one counts"
        ) from e
    return evidence


def _check(evidence: EvidenceFile) -> None:
    """Raise ValueError where figures contradict each other."""
    if not evidence.expectations:
        raise ValueError("expectations: there are none")
    for i, one in enumerate(evidence.expectations):
        # No trades can have a square of their sum above their number times the sum of their squares.
        most = one.trades * one.squares_r
        if one.squares_r < 0 or one.total_r * one.total_r > most * (1 + 1e-6) + 1e-6:
            raise ValueError(f"expectations[{i}]: total_r {one.total_r:g} and squares_r {one.squares_r:g} do not agree")
        if one.windows < 1 or one.lost > one.windows:
            raise ValueError(f"expectations[{i}]: {one.lost} lost of {one.windows} windows")
    for i, hits in enumerate(evidence.regime):
        if max(hits.right, hits.rose) > hits.periods:
            raise ValueError(f"regime[{i}]: {hits.right} right and {hits.rose} rose of {hits.periods}")
    _check_source(evidence)


def _check_source(evidence: EvidenceFile) -> None:
    """Raise ValueError where what it was found on cannot be."""
    for i, (_, digest) in enumerate(evidence.files):
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"files[{i}].sha256: must be 64 hexadecimal digits, was {digest[:40]!r}")
    if evidence.to_at > evidence.built_at:
        raise ValueError(f"to_at {evidence.to_at.isoformat()}: must not lie after built_at")
    if not LEAST_YEAR <= evidence.from_at.year <= evidence.to_at.year <= MOST_YEAR:
        raise ValueError(f"from_at and to_at: must lie between {LEAST_YEAR} and {MOST_YEAR}, in this order")


def _record(kind: type[_Record], value: object, where: str) -> _Record:
    """Check every field of an object. Raises ValueError naming the first that is wrong."""
    names = [field.name for field in fields(kind)]
    if not isinstance(value, dict) or sorted(value) != sorted(names):
        raise ValueError(f"{where or 'the file'}: must have {', '.join(names)}")
    hints = get_type_hints(kind)
    prefix = f"{where}." if where else ""
    return kind(**{name: _value(hints[name], value[name], f"{prefix}{name}") for name in names})


def _value(kind: Any, value: object, where: str) -> Any:
    if kind in _RECORDS:
        return _record(kind, value, where)
    if kind is datetime:
        return _moment(value, where)
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        many = inner[-1] is Ellipsis
        if not isinstance(value, list) or (not many and len(value) != len(inner)):
            raise ValueError(f"{where}: must be a list, was {str(value)[:40]!r}")
        kinds = [inner[0]] * len(value) if many else inner
        return tuple(_value(one, item, f"{where}[{i}]") for i, (one, item) in enumerate(zip(kinds, value, strict=True)))
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= NUMBER_MAX:
            raise ValueError(f"{where}: must be a float, was {str(value)[:40]!r}")
        return float(value)
    if isinstance(value, str):
        value.encode()  # a lone surrogate is no text
    if type(value) is not kind or (kind is int and not 0 <= value <= NUMBER_MAX):  # type: ignore[operator] # a whole number
        raise ValueError(f"{where}: must be a {kind.__name__}, was {str(value)[:40]!r}")
    return value


def _moment(value: object, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as e:
        raise ValueError(f"{where}: must be a time, was {str(value)[:40]!r}") from e
    if moment.tzinfo is None:
        raise ValueError(f"{where}: must have a time zone, was {str(value)[:40]!r}")
    return moment.astimezone(UTC)
