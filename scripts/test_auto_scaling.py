"""Check the guide's promises about tiers: ``python3 scripts/test_auto_scaling.py``, from anywhere.

Needs the standard library only, works in a temporary folder, and its exit code tells: 0 kept, 1 broken.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # replaces "scripts/", where no module of ours lies

from bot.auto_scaling_config import (  # noqa: E402 - found through the line above
    SCALING_TIERS,
    AutoScalingEngine,
    ScalingTier,
    auto_scale,
    get_current_tier_info,
    get_scaling_summary,
    integrate_with_broker_manager,
)

# name, first equity, last equity, positions, risk per trade in percent, copy trading, leverage
GUIDE_TIERS = (
    ("STARTER", 15.0, 249.99, 2, 3.0, False, False),
    ("GROWTH", 250.0, 499.99, 3, 4.0, False, False),
    ("ADVANCED", 500.0, 999.99, 4, 4.0, True, False),
    ("ELITE", 1000.0, 1_000_000.0, 6, 5.0, True, True),
)


def require(kept: bool, promise: str) -> None:
    """End the check where a promise is not kept; unlike assert it also works under ``python -O``."""
    if not kept:
        raise AssertionError(promise)


def name_of(tier: ScalingTier | None) -> str | None:
    """Name of a tier, None for none."""
    return tier.name if tier else None


def check_tiers_are_the_guides() -> None:
    """Four tiers with the guide's figures."""
    require(len(SCALING_TIERS) == len(GUIDE_TIERS), f"there are four tiers, found {len(SCALING_TIERS)}")
    engine = AutoScalingEngine()
    for name, first, last, positions, risk, copy_trading, leverage in GUIDE_TIERS:
        for equity in (first, last):
            tier = engine.get_tier_for_equity(equity)
            require(name_of(tier) == name, f"${equity} is {name}, found {name_of(tier)}")
            require(
                tier is not None
                and (tier.max_positions, tier.risk_per_trade, tier.copy_trading, tier.leverage_enabled)
                == (positions, risk, copy_trading, leverage),
                f"{name} has {positions} positions, {risk} % risk, copy {copy_trading}, leverage {leverage}",
            )


def check_no_tier_without_equity() -> None:
    """Less than $15, and what is no number, gives no tier."""
    engine = AutoScalingEngine()
    for equity in (14.99, 0.0, -1.0, float("nan"), float("inf")):
        require(engine.get_tier_for_equity(equity) is None, f"${equity} has no tier")
        scaled, old, new = engine.check_and_scale(equity)
        require(not scaled and not old and not new, f"${equity} does not scale")
        require(new.name == "UNRANKED", "without a tier the name is UNRANKED")


def check_account_moves_up_and_down() -> None:
    """Up at the threshold, down below 95 % of it."""
    engine = AutoScalingEngine()
    walk = (
        (100.0, True, "UNRANKED", "STARTER"),
        (14.0, False, "STARTER", "STARTER"),
        (250.0, True, "STARTER", "GROWTH"),
        (237.5, False, "GROWTH", "GROWTH"),
        (237.49, False, "GROWTH", "STARTER"),
        (1500.0, True, "STARTER", "ELITE"),
    )
    for equity, *expected in walk:
        scaled, old, new = engine.check_and_scale(equity)
        require(
            [scaled, old.name, new.name] == expected, f"${equity}: {expected}, found {scaled} {old.name} {new.name}"
        )


def check_progress_is_share_of_next_threshold() -> None:
    """75 % at $750; none at the top."""
    engine = AutoScalingEngine()
    engine.check_and_scale(750.0)
    progress = engine.get_progress_to_next_tier()
    require(progress is not None and progress["progress_pct"] == 75.0, "progress is 75 % at $750")
    require(progress is not None and progress["equity_needed"] == 250.0, "$250 are needed at $750")
    require(progress is not None and progress["next_tier"]["name"] == "ELITE", "ELITE follows ADVANCED")
    engine.check_and_scale(1000.0)
    require(engine.get_progress_to_next_tier() is None and engine.get_next_tier() is None, "nothing follows ELITE")


def check_restart_remembers() -> None:
    """A new engine on the same file announces nothing twice and keeps the history."""
    AutoScalingEngine().check_and_scale(300.0)
    engine = AutoScalingEngine()
    require(engine.current_tier.name == "GROWTH", "the tier survives a restart")
    require(engine.current_equity == 300.0, "the equity survives a restart")
    require(not engine.check_and_scale(300.0)[0], "a restart announces nothing twice")
    history = engine.state_manager.get_upgrade_history()
    require(
        [(entry["from_tier"], entry["to_tier"], entry["equity"], entry["direction"]) for entry in history]
        == [(None, "GROWTH", 300.0, "up")],
        f"the history has one entry, found {history}",
    )
    Path(".auto_scaling_state.json").unlink()
    require(AutoScalingEngine().current_tier.name == "UNRANKED", "deleting the state file resets")


def check_functions_share_one_engine() -> None:
    """auto_scale gives names; force scales again; the summary shows the tier."""
    require(auto_scale(750.0) == (True, None, "ADVANCED"), "the first auto_scale comes from None")
    require(auto_scale(750.0) == (False, "ADVANCED", "ADVANCED"), "the second changes nothing")
    require(auto_scale(750.0, force=True) == (True, "ADVANCED", "ADVANCED"), "force scales again")
    summary = get_scaling_summary()
    for line in ("NIJA AUTO-SCALING STATUS", "CURRENT EQUITY: $750.00", "CURRENT TIER: ADVANCED", "Progress: 75.0%"):
        require(line in summary, f"the summary shows {line!r}")
    require(get_current_tier_info()["max_positions"] == 4, "the tier's figures are available")


class Broker:
    """A broker with a fixed balance."""

    def __init__(self, balance: float | None) -> None:
        self.balance = balance

    def get_balance(self) -> float | None:
        """Balance in USD, None for unknown."""
        return self.balance


class BrokerManager:
    """Brokers by name."""

    def __init__(self, *balances: float | None) -> None:
        self.brokers = {f"broker {number}": Broker(balance) for number, balance in enumerate(balances)}


def check_broker_manager_is_integrated() -> None:
    """The sum of all balances counts; one unknown balance changes nothing."""
    require(integrate_with_broker_manager(BrokerManager(240.0, 20.0)), "known balances are checked")
    require(get_current_tier_info()["tier"] == "GROWTH", "$240 + $20 is GROWTH")
    require(not integrate_with_broker_manager(BrokerManager(2000.0, None)), "an unknown balance is refused")
    require(get_current_tier_info()["tier"] == "GROWTH", "an unknown balance changes nothing")


def check_custom_tier_is_used() -> None:
    """An appended tier wins from its threshold on."""
    custom = ScalingTier(
        name="CUSTOM",
        min_equity=2000.0,
        max_equity=None,
        max_positions=8,
        risk_per_trade=6.0,
        copy_trading=True,
        leverage_enabled=True,
        description="Custom tier for experienced traders",
    )
    SCALING_TIERS.append(custom)
    try:
        require(auto_scale(2500.0) == (True, None, "CUSTOM"), "$2500 is CUSTOM")
        require(name_of(AutoScalingEngine().get_tier_for_equity(1999.0)) == "ELITE", "$1999 is ELITE")
    finally:
        SCALING_TIERS.remove(custom)
    require(auto_scale(2500.0)[2] == "ELITE", "without the custom tier $2500 is ELITE")


CHECKS: tuple[Callable[[], None], ...] = (
    check_tiers_are_the_guides,
    check_no_tier_without_equity,
    check_account_moves_up_and_down,
    check_progress_is_share_of_next_threshold,
    check_restart_remembers,
    check_functions_share_one_engine,
    check_broker_manager_is_integrated,
    check_custom_tier_is_used,
)


def main() -> int:
    """Run every check in an empty folder of its own and print one line for each."""
    logging.getLogger("bot").addHandler(logging.NullHandler())
    os.environ.pop("STATE_DIR", None)
    failures = 0
    home = Path.cwd()
    for check in CHECKS:
        promise = (check.__doc__ or check.__name__).strip()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                check()
            except Exception as e:  # noqa: BLE001 - whatever breaks a promise is reported, and the rest still checked
                failures += 1
                print(f"FAILED  {promise}\n        {type(e).__name__}: {e}")
            else:
                print(f"ok      {promise}")
            finally:
                os.chdir(home)
    print(f"\n{len(CHECKS) - failures} of {len(CHECKS)} promises kept")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
