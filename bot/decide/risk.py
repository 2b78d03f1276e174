"""How a drawdown shrinks sizes."""

DRAWDOWN_SCALE_FLOOR = 0.25


def drawdown_scale(drawdown: float, max_drawdown: float) -> float:
    """Scale of all sizes, 0 to 1, after a drawdown (both fractions).

    Grossman and Zhou (1993): proportional to the surplus over the floor of wealth,
    ((1 - D) - (1 - M)) / (M (1 - D)), with a floor of 0.25 while D < M: together with minimum order
    sizes the pure rule is a state that an account cannot leave (quant, correction 7). 0 from M on.
    """
    if not drawdown < max_drawdown:  # a NaN in either too
        return 0.0
    if drawdown <= 0.0:
        return 1.0
    surplus = (max_drawdown - drawdown) / (max_drawdown * (1.0 - drawdown))
    return max(DRAWDOWN_SCALE_FLOOR, surplus)
