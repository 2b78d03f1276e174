"""The trained model as a small JSON file: written whole, read strictly."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from bot.domain.errors import ConfigError
from bot.domain.model_card import Condition, Evaluation, ModelCard
from bot.storage.whole_file import write_whole

SCHEMA_VERSION = 1
BYTES_MAX = 64_000
"""A model card has some 5,000; more is no model card."""

LIST_MAX = 100
FIELDS = (
    "schema_version",
    "armed",
    "conditions",
    "predicts",
    "trained_at",
    "features",
    "means",
    "scales",
    "weights",
    "intercept",
    "data",
    "costs",
    "signals",
    "wins",
    "evaluation",
    "limits",
)
DATA_FIELDS = ("source", "coins", "from", "to", "files")
COST_FIELDS = ("fee_in_frac", "fee_out_frac", "slippage_frac")
EVALUATION_FIELDS = (
    "from",
    "to",
    "signals",
    "events",
    "wins",
    "auc",
    "auc_low",
    "auc_high",
    "brier",
    "base_brier",
    "confident",
    "confident_wins",
    "shuffled_auc",
    "in_sample_auc",
)


def write_model_card(path: Path, card: ModelCard) -> None:
    """Write a model atomically.

    Raises ConfigError naming the path, and the system's reason or the field that could not be read again.
    """
    text = json.dumps(model_document(card), indent=1, allow_nan=False) + "\n"
    assert _parsed(path, text.encode()) == card, "what is written is what will be read"
    try:
        write_whole(path, text)
    except OSError as e:
        raise ConfigError(f"{path}: cannot be written: {e.strerror or e}") from e


def read_model_card(path: Path, *, features: Sequence[str] | None = None) -> ModelCard | None:
    """Read a model; None where there is no file.

    ``features`` are those that this program computes; None leaves that unchecked, for those who only show the card.
    Raises ConfigError naming file and field where anything is missing, unknown, of a wrong kind or out of its range.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read: {e.strerror or e}") from e
    card = _parsed(path, content)
    if features is not None and card.features != tuple(features):
        raise ConfigError(
            f"{path}: features: this program computes {', '.join(features)}; the model was trained on "
            f"{', '.join(card.features)}: train it anew, or delete it"
        )
    return card


def _parsed(path: Path, content: bytes) -> ModelCard:
    try:
        if len(content) > BYTES_MAX:
            raise ValueError(f"is longer than {BYTES_MAX:,} bytes")  # noqa: TRY301 - told like the others
        document = json.loads(content.decode(), parse_constant=_no_number, object_pairs_hook=_each_once)
        return _card_of(_Fields("", document, FIELDS))
    except (ValueError, RecursionError) as e:
        raise ConfigError(f"{path}: {e}; this is no model that can be used: train it anew, or delete it") from e


def model_document(card: ModelCard) -> dict[str, Any]:
    """Everything on the card; whether it is armed, and why, stands there for readers and is checked when it is read."""
    of = card.evaluation
    return {
        "schema_version": SCHEMA_VERSION,
        "armed": card.armed,
        "conditions": _conditions(card.conditions),
        "predicts": card.predicts,
        "trained_at": card.trained_at.astimezone(UTC).isoformat(),
        "features": list(card.features),
        "means": list(card.means),
        "scales": list(card.scales),
        "weights": list(card.weights),
        "intercept": card.intercept,
        "data": {
            "source": card.source,
            "coins": list(card.coins),
            "from": card.from_at.astimezone(UTC).isoformat(),
            "to": card.to_at.astimezone(UTC).isoformat(),
            "files": [{"name": name, "sha256": digest} for name, digest in card.files],
        },
        "costs": {name: getattr(card, name) for name in COST_FIELDS},
        "signals": card.signals,
        "wins": card.wins,
        "evaluation": {
            "from": of.from_at.astimezone(UTC).isoformat(),
            "to": of.to_at.astimezone(UTC).isoformat(),
            **{name: getattr(of, name) for name in EVALUATION_FIELDS[2:]},
        },
        "limits": list(card.limits),
    }


def _conditions(conditions: Sequence[Condition]) -> list[dict[str, object]]:
    return [condition._asdict() for condition in conditions]


class _Fields:
    """A JSON object that has these fields and no others; each is read by its kind. All raise ValueError."""

    def __init__(self, where: str, document: object, names: Collection[str]) -> None:
        self._where = where
        if not isinstance(document, dict):
            what = where.rstrip(".") or "the content"
            raise ValueError(f"{what}: must be a JSON object, was {_shown(document)}")  # noqa: TRY004 - the file's error
        for name in names:
            if name not in document:
                raise ValueError(f"{where}{name}: is missing")
        for name in document:
            if name not in names:
                raise ValueError(f"{where}{name[:60]}: is unknown")
        self._document: dict[str, object] = document

    def under(self, name: str, names: Collection[str]) -> _Fields:
        return _Fields(f"{self._where}{name}.", self._document[name], names)

    def value(self, name: str) -> object:
        return self._document[name]

    def refuse(self, name: str, allowed: str) -> NoReturn:
        raise ValueError(f"{self._where}{name}: must be {allowed}, was {_shown(self._document[name])}")

    def number(self, name: str, low: float = -sys.float_info.max, high: float = sys.float_info.max) -> float:
        value = self._document[name]
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        return self.refuse(name, "a number" if high > 1 else f"a number from {low:g} to {high:g}")

    def count(self, name: str, most: int = 10**9) -> int:
        value = self._document[name]
        if type(value) is int and 0 <= value <= most:
            return value
        return self.refuse(name, f"a whole number from 0 to {most}")

    def text(self, name: str) -> str:
        value = self._document[name]
        if isinstance(value, str) and value and value.isprintable():
            return value
        return self.refuse(name, "a text of one line")

    def moment(self, name: str) -> datetime:
        try:
            moment = datetime.fromisoformat(str(self._document[name]))
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        return self.refuse(name, "an ISO 8601 time with its time zone")

    def items(self, name: str) -> list[_Fields]:
        """The elements of a list, each under its place as the only field."""
        value = self._document[name]
        if isinstance(value, list) and 0 < len(value) <= LIST_MAX:
            return [_Fields(f"{self._where}{name}.", {str(k): item}, (str(k),)) for k, item in enumerate(value)]
        return self.refuse(name, f"a list of 1 to {LIST_MAX}")

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(item.text(str(k)) for k, item in enumerate(self.items(name)))

    def numbers(self, name: str, length: int) -> tuple[float, ...]:
        found = tuple(item.number(str(k)) for k, item in enumerate(self.items(name)))
        if len(found) != length:
            raise ValueError(f"{self._where}{name}: must be {length} numbers, one for each feature, was {len(found)}")
        return found


def _card_of(fields: _Fields) -> ModelCard:
    if fields.count("schema_version") != SCHEMA_VERSION:
        fields.refuse("schema_version", str(SCHEMA_VERSION))
    features = fields.texts("features")
    if len(set(features)) < len(features):
        raise ValueError("features: each must be there once")
    scales = fields.numbers("scales", len(features))
    if min(scales) <= 0.0:
        raise ValueError(f"scales: each must be above 0, the least was {min(scales)}")
    data, costs = fields.under("data", DATA_FIELDS), fields.under("costs", COST_FIELDS)
    signals = fields.count("signals")
    files = [item.under(str(k), ("name", "sha256")) for k, item in enumerate(data.items("files"))]
    card = ModelCard(
        predicts=fields.text("predicts"),
        trained_at=fields.moment("trained_at"),
        features=features,
        means=fields.numbers("means", len(features)),
        scales=scales,
        weights=fields.numbers("weights", len(features)),
        intercept=fields.number("intercept"),
        source=data.text("source"),
        coins=data.texts("coins"),
        from_at=data.moment("from"),
        to_at=data.moment("to"),
        files=tuple((file.text("name"), file.text("sha256")) for file in files),
        fee_in_frac=costs.number("fee_in_frac", 0, 1),
        fee_out_frac=costs.number("fee_out_frac", 0, 1),
        slippage_frac=costs.number("slippage_frac", 0, 1),
        signals=signals,
        wins=fields.count("wins", signals),
        evaluation=_evaluation_of(fields.under("evaluation", EVALUATION_FIELDS)),
        limits=fields.texts("limits"),
    )
    if fields.value("conditions") != _conditions(card.conditions):
        raise ValueError("conditions: do not agree with the figures under evaluation")
    if fields.value("armed") is not card.armed:
        fields.refuse("armed", f"{'true' if card.armed else 'false'} by the figures under evaluation")
    return card


def _evaluation_of(fields: _Fields) -> Evaluation:
    signals = fields.count("signals")
    confident = fields.count("confident", signals)
    names = ("auc", "auc_low", "auc_high", "brier", "base_brier", "shuffled_auc", "in_sample_auc")
    return Evaluation(
        from_at=fields.moment("from"),
        to_at=fields.moment("to"),
        signals=signals,
        events=fields.count("events", signals),
        wins=fields.count("wins", signals),
        confident=confident,
        confident_wins=fields.count("confident_wins", confident),
        **{name: fields.number(name, 0, 1) for name in names},
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]} ..."


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise ValueError(f"{twice[:60]}: is there twice")
    return found
