"""Sets of settings as terms of a backtest, over the same candles: what `optimize` and `walkforward` share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

from bot.backtest.bootstrap import resample
from bot.backtest.compiled import is_cached
from bot.backtest.layout import Terms
from bot.backtest.result import Resample
from bot.backtest.run import compiled_resample
from bot.backtest.search import Changes, Dimension
from bot.backtest.sweep import Job, Score, SweepData, score_of
from bot.bootstrap_backtest import market_between, signals_from, terms_from
from bot.bootstrap_config import signal_rules
from bot.domain.errors import ConfigError
from bot.settings_rules import ChoiceRule, NumberRule
from bot.settings_schema import SETTINGS, Settings
from bot.storage.candle_files import SourceData

WEIGHTS = ("KELLY_WEIGHT", "VOLATILITY_WEIGHT", "EQUITY_WEIGHT")
VARIED = (
    "STRATEGY",
    "EXIT_RULE",
    "POSITION_SIZER",
    *WEIGHTS,
    "MIN_SIGNAL_SCORE",
    "MIN_RISK_REWARD",
    "MIN_TRADE_SIZE",
    "MAX_POSITION_PCT",
    "MAX_POSITIONS",
    "RISK_PER_TRADE",
    "FORCE_CASH_BUFFER",
    "DAILY_MAX_LOSS",
    "MAX_DRAWDOWN",
    "MAX_CONSECUTIVE_LOSSES",
    "MICRO_CAPITAL_MODE",
    "PRO_MODE",
    "HALT_FLATTENS",
)
"""Settings that change what an account does with the same candles. Fees and coins are nobody's choice of rule."""

MOST_VALUES = 50
MOST_SETS = 500
_RANGE = re.compile(r"(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)")

SettingsWith = Callable[[Mapping[str, str]], Settings]
"""Reads the settings with some of them changed; raises ConfigError as they do."""


def parse_vary(text: str, settings_with: SettingsWith) -> Dimension:
    """Read NAME=LOW..HIGH or NAME=A,B,C.

    Raises ConfigError naming the setting, what was given and what is allowed.
    """
    name, sign, given = (part.strip() for part in text.partition("="))
    name = name.upper()
    if not sign or not given:
        raise ConfigError(f"--vary {text!r}: must be NAME=LOW..HIGH or NAME=A,B,C, such as MAX_POSITION_PCT=6..18")
    if name not in VARIED:
        known = "its fees, its coins and its alerts are no rules" if name in SETTINGS else "there is no such setting"
        raise ConfigError(f"--vary {name}: it cannot be varied, {known}; there are {', '.join(VARIED)}")
    rule = SETTINGS[name].rule
    range_match = _RANGE.fullmatch(given)
    if range_match is None:
        values = tuple(dict.fromkeys(value.strip() for value in given.split(",")))
        if len(values) > MOST_VALUES:
            raise ConfigError(f"--vary {name}: at most {MOST_VALUES} values, were {len(values)}")
        for value in values:
            _check(name, value, settings_with)
        return Dimension(name=name, choices=values)
    if not isinstance(rule, NumberRule):
        example = ",".join(rule.choices) if isinstance(rule, ChoiceRule) else "True,False"
        raise ConfigError(f"--vary {name}={given}: a range needs numbers; write {name}={example}")
    for value in range_match.groups():
        _check(name, value, settings_with)
    low, high = (float(value) for value in range_match.groups())
    if low >= high:
        raise ConfigError(f"--vary {name}={given}: {low:g} must be below {high:g}")
    return Dimension(name=name, low=low, high=high, whole=rule.convert is int)


def _check(name: str, value: str, settings_with: SettingsWith) -> None:
    """Raise ConfigError where a value alone is not allowed. A weight is checked by its rule: its sum comes later."""
    if name not in WEIGHTS:
        try:
            settings_with({name: value})
        except ConfigError as e:
            raise ConfigError(f"--vary: {e}") from e
        return
    try:
        SETTINGS[name].rule(value)
    except ValueError as e:
        hint = f"; {e}" if str(e) else ""
        raise ConfigError(f"--vary {name}: must be {SETTINGS[name].rule.allowed}, was {value!r}{hint}") from e


def parse_space(texts: Sequence[str], settings_with: SettingsWith) -> tuple[Dimension, ...]:
    """Read all of --vary. Raises ConfigError, also where a setting comes twice."""
    space = tuple(parse_vary(text, settings_with) for text in texts)
    names = [one.name for one in space]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"--vary {twice[0]} is given twice: put all of its values into one")
    return space


def grid_of(space: Sequence[Dimension]) -> list[Changes]:
    """All combinations. Raises ConfigError where there are too many, or a dimension is a range."""
    for one in space:
        if not one.choices:
            raise ConfigError(f"--vary {one}: a grid needs single values, such as {one.name}={one.low:g},{one.high:g}")
    sets = [
        dict(zip((one.name for one in space), values, strict=True)) for values in product(*(o.choices for o in space))
    ]
    if len(sets) > MOST_SETS:
        raise ConfigError(f"--vary: {len(sets)} combinations; at most {MOST_SETS} are tried")
    return sets


def words_of(changes: Changes) -> str:
    """A set in words."""
    return ", ".join(f"{name}={value}" for name, value in changes.items()) or "as they are"


def balanced(changes: Changes, present: Settings) -> Changes:
    """Scale the sizer's weights to a sum of 1 where one of them is varied: a set gives their proportions.

    Raises ConfigError where all of them are 0.
    """
    if not any(name in changes for name in WEIGHTS):
        return changes
    weights = [float(changes.get(name, getattr(present, name.lower()))) for name in WEIGHTS]
    total = sum(weights)
    if total <= 0:
        raise ConfigError(f"{words_of(changes)}: one of {', '.join(WEIGHTS)} must be above 0")
    first, second = (round(weight / total, 6) for weight in weights[:2])
    scaled = (first, second, max(0.0, 1 - first - second))
    return changes | {name: f"{weight:.6f}" for name, weight in zip(WEIGHTS, scaled, strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An account and its candles, on which sets of settings are tried."""

    settings: Settings
    settings_with: SettingsWith
    data: SourceData
    account: str
    equity: Decimal

    def terms(self, changes: Changes) -> Terms:
        """Turn a set into terms. Raises ConfigError naming the set where it is impossible."""
        balance = balanced(changes, self.settings)
        try:
            settings = self.settings_with(balance) if balance else self.settings
        except ConfigError as e:
            raise ConfigError(f"{words_of(changes)}: {e}") from e
        return terms_from(settings, data=self.data, account=self.account, equity=self.equity)

    def sweep_data(self, ranges: Sequence[tuple[int, int]], *, compiled: bool) -> SweepData:
        """Put the candles of some ranges (ms) into the form in which they are run."""
        terms, is_new = self.terms({}), compiled and not is_cached()
        signals, kit = signals_from(self.data, signal_rules(self.settings), compiled=compiled)
        data = SweepData(
            markets=tuple(
                market_between(self.data, terms, start_ms=start, end_ms=end, kit=kit) for start, end in ranges
            ),
            signals=signals,
            kit=kit,
        )
        if is_new:  # else each worker would compile for itself, side by side
            score_of(data, Job(0, terms))
        return data


def resample_of(data: SweepData) -> Resample:
    """The form of the bootstrap that goes with the data."""
    made: Resample = compiled_resample() if data.kit.compiled else resample
    return made


def candles_of(data: SweepData, market: int) -> int:
    """Candles of all coins in one of the ranges."""
    of = data.markets[market]
    width = of.steps + 1
    return sum(1 for c in range(of.coins) for price in of.opens[c * width : c * width + of.steps] if price)


def decisions_of(scores: Sequence[Score]) -> int:
    """Decisions of all runs."""
    return sum(score.decisions for score in scores)
