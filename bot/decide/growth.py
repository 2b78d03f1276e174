"""The growth curve: expected log growth of one trade by its size. Information, never a gate.

With the zero-edge prior growth is negative at any size, so as a veto it would refuse every trade of
a new account; with an assumed edge it always runs to the cap (quant 2.5, correction 1).
"""

import math


def growth(share: float, win_rate: float, gain: float, loss: float) -> float:
    """Expected log growth p ln(1 + n wu) + (1 - p) ln(1 - n lu) of a trade of ``share`` of equity (Kelly 1956).

    ``gain`` and ``loss`` are per unit of notional, net of costs; -inf where a loss would take everything.
    """
    if share * loss >= 1.0:
        return -math.inf
    return win_rate * math.log1p(share * gain) + (1.0 - win_rate) * math.log1p(-share * loss)


def best_lots(win_rate: float, gain: float, loss: float, lot_share: float, min_lots: int, max_lots: int) -> int:
    """Lots from ``min_lots`` to ``max_lots`` with the highest growth; 0 where none of them grows.

    ``lot_share`` is one lot as a share of equity. Growth is concave in the size with its peak at
    p / lu - (1 - p) / wu, so the best whole number lies beside the peak or at an end.
    """
    if max_lots < min_lots:
        return 0
    peak = win_rate / loss - (1.0 - win_rate) / gain
    below = int(max(0.0, min(peak / lot_share, float(max_lots))))
    best = 0
    best_growth = 0.0
    for lots in (below, below + 1):
        inside = min(max(lots, min_lots), max_lots)
        value = growth(inside * lot_share, win_rate, gain, loss)
        if value > best_growth:
            best = inside
            best_growth = value
    return best
