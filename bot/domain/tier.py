"""A tier of the account and the absence of one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ScalingTier:
    """One rung of the ladder; ``risk_per_trade`` is in percent, equities in USD.

    ``max_equity`` is informative (None: no upper end): the rung that applies is the one with the
    highest ``min_equity`` that the equity reaches. Raises ValueError on values that no account can
    have; the text names the field, what was found and what is allowed.
    """

    name: str
    min_equity: float
    max_equity: float | None
    max_positions: int
    risk_per_trade: float
    copy_trading: bool
    leverage_enabled: bool
    description: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must not be empty")
        if not math.isfinite(self.min_equity) or self.min_equity < 0:
            raise ValueError(f"{self.name}: min_equity must be a number >= 0, was {self.min_equity!r}")
        if self.max_equity is not None and not self.max_equity > self.min_equity:
            raise ValueError(
                f"{self.name}: max_equity must be above min_equity {self.min_equity}, was {self.max_equity!r}"
            )
        if self.max_positions < 1:
            raise ValueError(f"{self.name}: max_positions must be at least 1, was {self.max_positions!r}")
        if not 0 < self.risk_per_trade <= 6:
            raise ValueError(
                f"{self.name}: risk_per_trade is in percent, above 0 and at most 6 (the daily loss limit), "
                f"was {self.risk_per_trade!r}"
            )

    def matches(self, equity: float) -> bool:
        """Whether the equity lies in the half-open range [min_equity, max_equity)."""
        return self.min_equity <= equity and (self.max_equity is None or equity < self.max_equity)

    def to_dict(self) -> dict[str, object]:
        """All fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        return self.name


class UnrankedTier:
    """The tier before the first check: falsy, with a name, so that the guide's snippets print."""

    name = "UNRANKED"

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


UNRANKED = UnrankedTier()
