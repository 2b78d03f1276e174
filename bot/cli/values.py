"""Reads moments, dollars and account names that options were given."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bot.bootstrap_config import PAPER_ACCOUNTS
from bot.cli.options import read_number
from bot.domain.errors import ConfigError

MIN_EQUITY = Decimal(1)
MAX_EQUITY = Decimal(1_000_000)


def start_ms_of(text: str | None) -> int | None:
    """Read --from as milliseconds; None where it was not given."""
    return None if text is None else _ms(parse_moment(text, "--from", end_of_day=False))


def end_ms_of(text: str | None) -> int | None:
    """Read --to as milliseconds; None where it was not given."""
    return None if text is None else _ms(parse_moment(text, "--to", end_of_day=True))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def parse_moment(text: str, option: str, *, end_of_day: bool) -> datetime:
    """Read an ISO 8601 date or time as UTC; a date given as an end means the whole day.

    Raises ConfigError naming the option.
    """
    is_date = len(text) <= len("2022-01-01")
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment + timedelta(days=int(end_of_day and is_date))
    except (ValueError, OverflowError) as e:
        raise ConfigError(f"{option} {text!r}: must be a date such as 2022-01-01, or an ISO 8601 time") from e


def parse_equity(text: str) -> Decimal:
    """Read dollars. Raises ConfigError naming the option and what is allowed."""
    number = read_number(text)
    equity = Decimal(repr(number)) if math.isfinite(number) else Decimal("NaN")
    if equity.is_nan() or not MIN_EQUITY <= equity <= MAX_EQUITY:
        raise ConfigError(f"--equity {text!r}: must be dollars from {MIN_EQUITY} to {MAX_EQUITY}")
    return equity.quantize(Decimal("0.01"))


def parse_venues(text: str) -> tuple[str, ...]:
    """Read account names. Raises ConfigError naming those that do not exist."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in PAPER_ACCOUNTS]
    if unknown or not names:
        raise ConfigError(f"--venues {text!r}: must name one or more of {', '.join(PAPER_ACCOUNTS)}, comma between")
    return names
