"""What a round trip costs. Fractions per side on notional; see quant section 2 (notation) and 3b."""


def break_even_move(fee_in: float, fee_out: float) -> float:
    """Price move that pays both fees: (1 + fee_in) / (1 - fee_out) - 1."""
    return (1.0 + fee_in) / (1.0 - fee_out) - 1.0


def loss_per_unit(stop_distance: float, fee_in: float, fee_out: float, slippage: float) -> float:
    """Loss at the stop per unit of notional, fees and slippage included.

    d + fi + fo (1 - d) + s, with the stop distance d as a fraction of the entry price.
    """
    return stop_distance + fee_in + fee_out * (1.0 - stop_distance) + slippage
