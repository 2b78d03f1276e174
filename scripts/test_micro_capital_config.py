"""Check the micro capital configuration against the guide: ``python3 scripts/test_micro_capital_config.py``.

Works from anywhere with nothing but Python; the exit code is 0 where everything holds.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.micro_capital_config import (  # noqa: E402 - the line above makes it importable
    MICRO_CAPITAL_CONFIG,
    apply_micro_capital_config,
    get_config_summary,
    get_dynamic_config,
    get_environment_variables,
)
from bot.settings import load_settings  # noqa: E402

# The guide, section "Configuration Parameters".
GUIDE = {
    "micro_capital_mode": True,
    "mode": "MASTER_ONLY",
    "primary_broker": "COINBASE",
    "secondary_broker": "KRAKEN",
    "live_trading": True,
    "pro_mode": True,
    "min_balance_to_trade": 15.0,
    "min_trade_size": 5.0,
    "min_balance_coinbase": 10.0,
    "min_balance_kraken": 50.0,
    "max_positions": 2,
    "max_position_pct": 18.0,
    "risk_per_trade": 3.0,
    "daily_max_loss": 6.0,
    "max_drawdown": 12.0,
    "position_sizer": "HYBRID",
    "kelly_weight": 0.30,
    "volatility_weight": 0.40,
    "equity_weight": 0.30,
    "min_signal_score": 0.75,
    "min_ai_confidence": 0.70,
    "min_risk_reward": 1.8,
    "trade_only": ["BTC", "ETH", "SOL"],
    "market_regime_engine": True,
    "signal_ensemble": True,
    "ai_trade_filter": True,
    "leverage_enabled": False,
    "copy_trading": False,
    "auto_shutoff_on_errors": True,
    "max_consecutive_losses": 3,
    "force_cash_buffer": 15.0,
}
# Equity: positions, risk percent, copy trading, leverage (the guide's table of tiers).
TIERS = {
    15.0: (2, 3.0, False, False),
    249.99: (2, 3.0, False, False),
    250.0: (3, 4.0, False, False),
    500.0: (4, 4.0, True, False),
    1000.0: (6, 5.0, True, True),
}


def check_parameters() -> str:
    """Compare every parameter with the guide; return what differs."""
    wrong = [name for name, value in GUIDE.items() if MICRO_CAPITAL_CONFIG.get(name) != value]
    return "differs from the guide: " + ", ".join(wrong) if wrong else ""


def check_tiers() -> str:
    """Compare the tier values with the guide's table; return what differs."""
    wrong = [equity for equity, values in TIERS.items() if tuple(get_dynamic_config(equity).values()) != values]
    return f"wrong tier values at {wrong}" if wrong else ""


def check_refused_equity() -> str:
    """Return the equities that got a tier though they must not."""
    wrong = []
    for equity in (14.99, 0.0, -1.0, float("nan"), float("inf")):
        try:
            get_dynamic_config(equity)
        except ValueError:
            continue
        wrong.append(equity)
    return f"these got a tier: {wrong}" if wrong else ""


def check_round_trip() -> str:
    """Load the settings from the variables of every tier; return what differs."""
    for equity, (positions, risk, copy_trading, leverage) in TIERS.items():
        settings = load_settings(env_file=None, environ=get_environment_variables(equity))
        found = settings.max_positions, settings.risk_per_trade, settings.copy_trading, settings.leverage_enabled
        if found != (positions, risk, copy_trading, leverage):
            return f"settings at ${equity} are {found}"
    return ""


def check_environment_is_never_pinned() -> str:
    """Apply at $500; return the names that must not be in the environment afterwards."""
    before = set(os.environ)
    apply_micro_capital_config(equity=500.0, set_env_vars=True)
    added = set(os.environ) - before
    pinned = added & {"LIVE_TRADING", "MAX_POSITIONS", "RISK_PER_TRADE", "COPY_TRADING", "LEVERAGE_ENABLED"}
    return f"pinned: {sorted(pinned)}" if pinned else "" if added else "nothing was set"


def check_summary() -> str:
    """Return what the summary lacks."""
    summary = get_config_summary(500.0)
    missing = [name for name in GUIDE if name.upper() not in summary]
    return f"the summary lacks {missing}" if missing else ""


CHECKS: tuple[Callable[[], str], ...] = (
    check_parameters,
    check_tiers,
    check_refused_equity,
    check_round_trip,
    check_environment_is_never_pinned,
    check_summary,
)


def main() -> int:
    """Run all checks in an empty folder, where no ``.env`` of the user plays a part."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for check in CHECKS:
            problem = check()
            failed += bool(problem)
            print(f"{'FAIL' if problem else 'ok  '}  {check.__name__}{': ' + problem if problem else ''}")
        os.chdir(ROOT)
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
