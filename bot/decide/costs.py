"""What a round trip costs. Fractions per side on notional; see quant section 2 (notation) and 3b."""

from typing import NamedTuple

FEE_RESERVE = 0.01
"""Share of a venue's free cash that stays for fees."""

SLIPPAGE = 0.001
"""Slippage of one round trip as a fraction of notional (5 basis points a side, as in the evidence)."""

MIN_STOP_TO_COST = 3.0
"""A stop nearer than three round-trip costs is a trade for the venue, not for the account (quant 7)."""


class Rules(NamedTuple):
    """The market of one account: steps, minimums, fees as fractions per side."""

    lot_step: float
    min_amount: float
    min_cost: float
    fee_in: float
    fee_out: float


def break_even_move(fee_in: float, fee_out: float) -> float:
    """Price move that pays both fees: (1 + fee_in) / (1 - fee_out) - 1 (quant 3b)."""
    return (1.0 + fee_in) / (1.0 - fee_out) - 1.0


def loss_per_unit(stop_distance: float, fee_in: float, fee_out: float, slippage: float) -> float:
    """Loss at the stop per unit of notional, fees and slippage included.

    d + fi + fo (1 - d) + s, with the stop distance d as a fraction of the entry price (quant 2, lu).
    """
    return stop_distance + fee_in + fee_out * (1.0 - stop_distance) + slippage


def gain_per_unit(target: float, fee_in: float, fee_out: float, slippage: float) -> float:
    """Gain at a target per unit of notional: t - fi - fo (1 + t) - s, t a fraction of the entry price (quant 2)."""
    return target - fee_in - fee_out * (1.0 + target) - slippage


def break_even_price(price: float, fee_in: float, fee_out: float) -> float:
    """Price at which a sale brings back the entry price and both fees (quant 3b, 4d)."""
    return price * (1.0 + break_even_move(fee_in, fee_out))
