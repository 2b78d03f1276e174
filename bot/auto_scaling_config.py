"""The guide's public API for tiers: a thin facade over ``bot.scaling`` and the state file.

Needs the standard library only. Run as a program it is the demo: ``python3 bot/auto_scaling_config.py``.
"""

from __future__ import annotations

import sys

if __package__ in (None, ""):
    # Run by its path: "bot/" itself is then first on sys.path, where its rooms would hide other modules.
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import io
import logging
import math
import os
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol, SupportsFloat, cast

from bot.domain.tier import UNRANKED, ScalingTier, UnrankedTier
from bot.scaling.ladder import SCALING_TIERS, tier_for, tier_named
from bot.scaling.progress import Progress, next_tier, progress_to_next
from bot.scaling.state import TierState, apply
from bot.scaling.summary import scaling_summary
from bot.scaling.transitions import Direction, Transition
from bot.storage.state_file import JsonStateFile

__all__ = [
    "SCALING_TIERS",
    "UNRANKED",
    "AutoScalingEngine",
    "ScalingTier",
    "StateManager",
    "auto_scale",
    "get_auto_scaling_engine",
    "get_current_tier_info",
    "get_scaling_summary",
    "integrate_with_broker_manager",
]

DEFAULT_STATE_FILE = ".auto_scaling_state.json"

_log = logging.getLogger("bot.auto_scaling")


class StateManager:
    """The state file of one engine. Nothing is held in memory: the file is the tier's only home."""

    def __init__(self, state_file: str | os.PathLike[str]) -> None:
        self._file = JsonStateFile(state_file, check=TierState.from_json)

    def load(self) -> TierState:
        """State as it is stored. Raises StateFileError."""
        return TierState.from_json(self._file.load())

    def save(self, state: TierState) -> None:
        """Store the state. Raises StateFileError."""
        self._file.save(state.to_json())

    def get_current_tier(self) -> str | None:
        """Name of the current tier; None before the first check."""
        return self.load().current_tier

    def get_upgrade_history(self) -> list[dict[str, object]]:
        """Changes, oldest first, with ``timestamp, from_tier, to_tier, equity, direction``."""
        return [change.to_dict() for change in self.load().upgrade_history]


class AutoScalingEngine:
    """Tiers of one account, remembered in one state file. Not for use from several threads at once."""

    def __init__(self, state_file: str | os.PathLike[str] = DEFAULT_STATE_FILE) -> None:
        self.state_manager = StateManager(state_file)

    @property
    def current_tier(self) -> ScalingTier | UnrankedTier:
        """Tier of the last check; UNRANKED (falsy, with a name) before it."""
        return tier_named(self.state_manager.get_current_tier(), SCALING_TIERS) or UNRANKED

    @property
    def current_equity(self) -> float:
        """USD of the last check; 0.0 before it."""
        return self.state_manager.load().last_equity or 0.0

    def check_and_scale(
        self, equity: object, force: bool = False
    ) -> tuple[bool, ScalingTier | UnrankedTier, ScalingTier | UnrankedTier]:
        """Move the account to the tier of ``equity`` (USD) and give (scaled, old, new).

        ``scaled`` is True for upgrades and ``force``; a downgrade gives False with old != new. What is
        no usable number changes nothing. Raises StateFileError where the tier cannot be remembered.
        """
        before = self.state_manager.load()
        usd = _usd(equity)
        now = datetime.now(tz=UTC)  # noqa: TID251 - the guide's API has no clock to ask; this is its edge
        transition, after = apply(before, usd, SCALING_TIERS, now, force=force)
        if after != before:
            # Saved before it is announced: what could not be remembered would be announced again.
            self.state_manager.save(after)
        _report(transition, usd)
        return transition.scaled, transition.old or UNRANKED, transition.new or UNRANKED

    def get_tier_for_equity(self, equity: float) -> ScalingTier | None:
        """Tier that a fresh account gets at ``equity`` USD; None where there is none."""
        return tier_for(_usd(equity), SCALING_TIERS)

    def get_next_tier(self) -> ScalingTier | None:
        """Tier above the current one; None at the top."""
        return next_tier(self.state_manager.load(), SCALING_TIERS)

    def get_progress_to_next_tier(self) -> Progress | None:
        """Way to the next tier (``current_equity, next_tier, equity_needed, progress_pct``); None at the top."""
        return progress_to_next(self.state_manager.load(), SCALING_TIERS)

    def get_current_config(self) -> dict[str, object]:
        """Fields of the current tier, with ``tier`` as its name; all closed before the first check."""
        tier = self.current_tier
        if isinstance(tier, UnrankedTier):
            closed = {"max_positions": 0, "risk_per_trade": 0.0, "copy_trading": False, "leverage_enabled": False}
            return {"tier": tier.name, "name": tier.name, **closed}
        return {"tier": tier.name, **tier.to_dict()}

    def get_scaling_summary(self) -> str:
        """The guide's status box."""
        return scaling_summary(self.state_manager.load(), SCALING_TIERS)


def get_auto_scaling_engine() -> AutoScalingEngine:
    """Engine of this process: one for each state folder (``STATE_DIR``, by default the working directory)."""
    return _engine_of(Path(os.environ.get("STATE_DIR") or ".").resolve() / DEFAULT_STATE_FILE)


def auto_scale(equity: object, force: bool = False) -> tuple[bool, str | None, str | None]:
    """``check_and_scale`` of the process-wide engine, with the names of the tiers (None: no tier)."""
    scaled, old, new = get_auto_scaling_engine().check_and_scale(equity, force=force)
    return scaled, old.name if old else None, new.name if new else None


def get_scaling_summary() -> str:
    """The status box of the process-wide engine."""
    return get_auto_scaling_engine().get_scaling_summary()


def get_current_tier_info() -> dict[str, object]:
    """``get_current_config`` of the process-wide engine with ``current_equity`` and ``progress``."""
    engine = get_auto_scaling_engine()
    return {
        **engine.get_current_config(),
        "current_equity": engine.current_equity,
        "progress": engine.get_progress_to_next_tier(),
    }


def integrate_with_broker_manager(broker_manager: object) -> bool:
    """Check the total balance of all brokers; False, and nothing changes, while any balance is unknown.

    Takes an object with ``get_total_balance()``, or with ``brokers`` (list, or dict by name) whose
    members have ``get_balance()``; balances in USD.
    """
    try:
        total = _total_balance(broker_manager)
    except Exception as e:  # noqa: BLE001 - a foreign object may raise anything; whatever it is, the balance is unknown
        _say(logging.WARNING, f"AUTO-SCALING: balance unknown, nothing changes: {type(e).__name__}: {e}")
        return False
    get_auto_scaling_engine().check_and_scale(total)
    return True


class _Broker(Protocol):
    def get_balance(self) -> object: ...


class _TotalBalance(Protocol):
    def get_total_balance(self) -> object: ...


class _Brokers(Protocol):
    brokers: Mapping[str, _Broker] | list[_Broker]


def _total_balance(broker_manager: object) -> float:
    if hasattr(broker_manager, "get_total_balance"):
        return _known("total", cast(_TotalBalance, broker_manager).get_total_balance())
    brokers = cast(_Brokers, broker_manager).brokers
    named = brokers.items() if isinstance(brokers, Mapping) else enumerate(brokers, start=1)
    balances = [_known(f"broker {name}", broker.get_balance()) for name, broker in named]
    if not balances:
        raise ValueError("there are no brokers")
    return math.fsum(balances)


def _known(name: str, balance: object) -> float:
    usd = _usd(balance)
    if not 0 <= usd < math.inf:
        raise ValueError(f"{name} gave {balance!r}, an amount of USD >= 0 was expected")
    return usd


def _usd(value: object) -> float:
    """Number of a foreign value, which brokers give as float, Decimal or text; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, SupportsFloat | str):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


@lru_cache(maxsize=8)
def _engine_of(state_file: Path) -> AutoScalingEngine:
    return AutoScalingEngine(state_file)


def _report(transition: Transition, equity: float) -> None:
    tier = transition.new
    if transition.close_only:
        _say(logging.WARNING, f"AUTO-SCALING: {transition.reason}")
    if tier is None or (transition.direction is None and not transition.scaled):
        return
    event = {Direction.UP: "UPGRADE", Direction.DOWN: "DOWNGRADE", None: "CONFIRMED"}[transition.direction]
    _say(
        logging.INFO,
        f"AUTO-SCALING {event}: ${equity:.2f} → {tier.name} tier",
        f"   Max Positions: {tier.max_positions}",
        f"   Risk Per Trade: {tier.risk_per_trade:.1f}%",
        f"   Copy Trading: {tier.copy_trading}",
        f"   Leverage: {tier.leverage_enabled}",
    )


def _say(level: int, *lines: str) -> None:
    for line in lines:
        if _log.hasHandlers():
            _log.log(level, "%s", line)
        else:
            # A script that has set up no logging still sees the guide's lines, on stderr.
            handler = logging.StreamHandler()
            formatter = logging.Formatter("%(asctime)s | %(levelname)s | %(message)s", "%Y-%m-%d %H:%M:%S")
            formatter.converter = time.gmtime
            handler.setFormatter(formatter)
            handler.handle(_log.makeRecord(_log.name, level, __file__, 0, line, (), None))


def run_demo() -> None:
    """Walk an account through its tiers in a temporary folder and print what happens."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 must not end the demo
    print("Demo: tiers at different equities, in a temporary folder; nothing is traded.\n")
    with tempfile.TemporaryDirectory() as folder:
        engine = AutoScalingEngine(Path(folder) / DEFAULT_STATE_FILE)
        for equity in (10.0, 15.0, 14.0, 250.0, 240.0, 500.0, 470.0, 750.0, 1000.0, 960.0, 940.0):
            scaled, old, new = engine.check_and_scale(equity)
            change = f"{old.name} → {new.name}" if old is not new else new.name
            print(f"${equity:>8.2f}  {change:<22}{'upgraded' if scaled else ''}".rstrip())
        print("\nHistory:")
        for entry in engine.state_manager.get_upgrade_history():
            print(f"  {entry['direction']:<4}  {entry['from_tier']} → {entry['to_tier']} (${entry['equity']:.2f})")
        print(f"\n{engine.get_scaling_summary()}")


if __name__ == "__main__":
    run_demo()
