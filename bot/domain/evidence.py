"""What the rules did on old prices: found once, shipped as a file, and compared with what the account then does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings that make one strategy another."""

    strategy: str
    exit_rule: str
    """Of breakout trades; it changes nothing else."""
    signal_ensemble: bool
    market_regime_engine: bool
    ai_trade_filter: bool
    others: tuple[tuple[str, str], ...]
    """Name and value of every other setting that changes what is bought, the coins among them."""

    def differences(self, other: Rules) -> list[str]:
        """Name what differs, as NAME=VALUE of the other; the exit rule counts for breakout trades alone."""
        named = ["strategy", "signal_ensemble", "market_regime_engine", "ai_trade_filter"]
        named += ["exit_rule"] if self.strategy == "breakout" else []
        mine, theirs = dict(self.others), dict(other.others)
        mine |= {name.upper(): str(getattr(self, name)) for name in named}
        theirs |= {name.upper(): str(getattr(other, name)) for name in named}
        return [f"{name}={value}" for name, value in theirs.items() if mine.get(name) != value]

    def same_as(self, other: Rules) -> bool:
        """Whether both trade alike."""
        return not self.differences(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One set of rules on one account: a run without a break, and every window of twelve months in it."""

    account: str
    name: str
    rules: Rules
    maker_fee_pct: float
    taker_fee_pct: float
    equity_usd: float
    trades: int
    """Closed ones, simulated, and the sums of their results in R and of the squares."""
    total_r: float
    squares_r: float
    days: int
    windows: int
    """They overlap; ``days`` says how much there is to see."""
    p10_pct: float
    median_pct: float
    p90_pct: float
    lost: int
    """Windows that ended lower than they began, before the server."""
    max_drawdown_pct: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float
    dsr: float
    """Probability that the Sharpe ratio is above what the best of all looks owes to luck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRate:
    """How often the regime pointed where a coin then went, over periods of 20 days that do not overlap."""

    coin: str
    periods: int
    right: int
    rose: int
    """What "it always rises" would have had right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """Everything that `evidence` found, and what it was found on."""

    built_at: datetime
    source: str
    timeframe: str
    from_at: datetime
    to_at: datetime
    files: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each candle file."""
    looks: int
    """Rules and settings that were looked at, these included; the deflated Sharpe ratios count them."""
    chosen: str
    """Name of the default by the rule; '' where the candles do not reach back to its first day."""
    chosen_qualifies: bool
    expectations: tuple[Expectation, ...]
    regime: tuple[HitRate, ...]

    @property
    def last_day(self) -> datetime:
        """The last day whose candle is in it; ``to_at`` is its end."""
        return self.to_at - timedelta(days=1)

    def of(self, account: str, rules: Rules) -> Expectation | None:
        """Return what was found for an account with these rules."""
        found = (one for one in self.expectations if one.account == account and one.rules.same_as(rules))
        return next(found, None)
