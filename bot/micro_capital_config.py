"""The guide's micro capital API: its parameters, and what the tiers make of them at an equity.

A thin facade over the settings table and the ladder; both stay the only place of their values. Importing
it needs nothing but the standard library.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    # Run as a file, Python puts bot/ itself on the path, where our modules could hide the library's.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import os
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypedDict

from bot.domain.errors import ConfigError
from bot.domain.tier import ScalingTier
from bot.scaling.ladder import SCALING_TIERS, activation_equity, tier_for
from bot.settings import names_in_env_file
from bot.settings_schema import GUIDE_NAMES, SETTINGS, AccountMode, Settings

__all__ = [
    "MICRO_CAPITAL_CONFIG",
    "AppliedConfig",
    "DynamicConfig",
    "NoTierError",
    "apply_micro_capital_config",
    "get_config_summary",
    "get_dynamic_config",
    "get_environment_variables",
]


class NoTierError(ConfigError, ValueError):
    """No tier belongs to this equity."""


class DynamicConfig(TypedDict):
    """What depends on the tier; ``risk_per_trade`` in percent."""

    max_positions: int
    risk_per_trade: float
    copy_trading: bool
    leverage_enabled: bool


class AppliedConfig(TypedDict):
    """What ``apply_micro_capital_config`` returns."""

    base_config: dict[str, Any]
    dynamic_config: DynamicConfig
    environment_variables: dict[str, str]
    current_equity: float | None


def _tier_of(equity: float | None) -> ScalingTier:
    """Find the tier; without an equity it is the one in which an account starts."""
    start = activation_equity(SCALING_TIERS)
    tier = tier_for(start if equity is None else float(equity), SCALING_TIERS)
    if tier is None:
        raise NoTierError(f"No tier found for equity {equity!r}: must be a finite number of dollars, {start:g} or more")
    return tier


def get_dynamic_config(equity: float) -> DynamicConfig:
    """Tier values at an equity in USD. Raises NoTierError, a ValueError, for NaN, infinity and less than $15."""
    return _dynamic_config(equity)


def _dynamic_config(equity: float | None) -> DynamicConfig:
    tier = _tier_of(equity)
    return DynamicConfig(
        max_positions=tier.max_positions,
        risk_per_trade=tier.risk_per_trade,
        copy_trading=tier.copy_trading,
        leverage_enabled=tier.leverage_enabled,
    )


def _plain(value: object) -> object:
    """Turn a setting into what a user of plain dictionaries expects."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, StrEnum):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


_DEFAULTS = Settings()
MICRO_CAPITAL_CONFIG: dict[str, Any] = {
    name.lower(): _plain(getattr(_DEFAULTS, name.lower())) for name in GUIDE_NAMES
} | dict(_dynamic_config(None))
"""Every parameter of the guide by its lower-case name, with the tier values of a starting account."""

_TIER_NAMES = frozenset(name.upper() for name in DynamicConfig.__annotations__)
_NEVER_SET = _TIER_NAMES | {"LIVE_TRADING", "MAX_CONCURRENT_POSITIONS", "COPY_TRADING_MODE"}
"""Names that stay out of the environment: it would freeze the tier, or arm live trading above ``.env``."""


def get_environment_variables(equity: float | None = None) -> dict[str, str]:
    """The guide's parameters as environment variables, and the same under the names of older programs.

    Raises NoTierError where the equity has no tier.
    """
    dynamic = _dynamic_config(equity)
    variables = {name: SETTINGS[name].default_text for name in GUIDE_NAMES}
    variables |= {name.upper(): str(value) for name, value in dynamic.items()}
    follow = AccountMode.MASTER_FOLLOW if dynamic["copy_trading"] else AccountMode.INDEPENDENT
    return variables | {
        "MINIMUM_TRADING_BALANCE": variables["MIN_BALANCE_TO_TRADE"],
        "MIN_CASH_TO_BUY": variables["MIN_TRADE_SIZE"],
        "MAX_CONCURRENT_POSITIONS": variables["MAX_POSITIONS"],
        "COPY_TRADING_MODE": str(follow),
    }


def apply_micro_capital_config(equity: float | None = None, set_env_vars: bool = True) -> AppliedConfig:
    """Give the configuration at an equity, and put it into this process's environment.

    Into the environment go only names that neither it nor ``./.env`` sets, and never LIVE_TRADING or what the
    tier decides: the user's own values keep winning. Raises NoTierError where the equity has no tier, and
    ConfigError where ``./.env`` cannot be read; then nothing is set.
    """
    variables = get_environment_variables(equity)
    if set_env_vars:
        taken = _NEVER_SET | os.environ.keys() | names_in_env_file(Path(".env"))
        os.environ.update({name: text for name, text in variables.items() if name not in taken})
    return AppliedConfig(
        base_config=dict(MICRO_CAPITAL_CONFIG),
        dynamic_config=_dynamic_config(equity),
        environment_variables=variables,
        current_equity=equity,
    )


def get_config_summary(equity: float | None = None) -> str:
    """Text with every parameter by section. Raises NoTierError where the equity has no tier."""
    tier = _tier_of(equity)
    variables = get_environment_variables(equity)
    at = f"tier {tier.name}" if equity is None else f"tier {tier.name} at ${equity:,.2f}"
    lines = [f"MICRO CAPITAL CONFIGURATION, {at}"]
    section = ""
    for name in GUIDE_NAMES:
        spec = SETTINGS[name]
        if spec.section != section:
            section = spec.section
            lines += ["", f"{section}:"]
        unit = f" {spec.unit}" if spec.unit in ("%", "USD") else ""
        lines.append(f"  {name:<24} {variables[name]}{unit}{'  (tier)' if name in _TIER_NAMES else ''}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(get_config_summary())
