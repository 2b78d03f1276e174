"""How a drawdown shrinks sizes."""

import math

DRAWDOWN_SCALE_FLOOR = 0.25


def drawdown_scale(drawdown: float, max_drawdown: float) -> float:
    """Scale of all sizes, 0 to 1, after a drawdown (both fractions).

    Grossman and Zhou (1993): proportional to the surplus over the floor of wealth,
    ((1 - D) - (1 - M)) / (M (1 - D)), with a floor of 0.25 while D < M: together with minimum order
    sizes the pure rule is a state that an account cannot leave (quant, correction 7). 0 from M on.
    """
    fallen = max(0.0, drawdown)
    if math.isnan(drawdown) or not fallen < max_drawdown:  # a NaN in the limit too
        return 0.0
    surplus = (max_drawdown - fallen) / (max_drawdown * (1.0 - fallen))
    return max(DRAWDOWN_SCALE_FLOOR, surplus)
