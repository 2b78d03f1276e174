"""What can be traded on an account, in which steps, from which minimum."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One market of one venue.

    ``lot_step`` is in base units, ``tick_size`` in quote units, ``min_amount`` in base units,
    ``min_cost`` in quote units. ``multiplier`` is the base units per contract (1 for spot).
    """

    symbol: str
    base: str
    quote: str
    lot_step: Decimal
    tick_size: Decimal
    min_amount: Decimal
    min_cost: Decimal
    multiplier: Decimal = Decimal(1)
    is_open: bool = True
    """False: the venue takes no new orders here at present."""

    def __post_init__(self) -> None:
        assert self.lot_step > 0, f"{self.symbol}: lot_step must be positive, was {self.lot_step}"
        assert self.tick_size > 0, f"{self.symbol}: tick_size must be positive, was {self.tick_size}"
        assert self.min_amount >= 0
        assert self.min_cost >= 0
        assert self.multiplier > 0

    def quantity_of(self, lots: int) -> Decimal:
        """Base units of a whole number of lots: the one place where lots become a quantity."""
        return self.lot_step * lots

    def price_of(self, ticks: int) -> Decimal:
        """Quote units of a whole number of ticks: the one place where ticks become a price."""
        return self.tick_size * ticks

    def lots_in(self, quantity: Decimal) -> int:
        """Whole lots that fit into a quantity, rounded down."""
        return int((quantity / self.lot_step).to_integral_value(rounding=ROUND_DOWN))

    def price_down(self, price: Decimal) -> Decimal:
        """Round a price down to its tick."""
        return (price / self.tick_size).to_integral_value(rounding=ROUND_DOWN) * self.tick_size

    def price_up(self, price: Decimal) -> Decimal:
        """Round a price up to its tick."""
        return (price / self.tick_size).to_integral_value(rounding=ROUND_UP) * self.tick_size

    def minimum_quantity_at(self, price: Decimal) -> Decimal:
        """Smallest quantity, in whole lots, that the venue takes at this price.

        Both minimums hold: ``min_amount`` and ``min_cost``.
        """
        assert price > 0
        by_cost = self.min_cost / (price * self.multiplier)
        needed = max(self.min_amount, by_cost, self.lot_step)
        return (needed / self.lot_step).to_integral_value(rounding=ROUND_UP) * self.lot_step
