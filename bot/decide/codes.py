"""Int codes of the core; ``REFUSAL_NAMES[code]`` is the name that the outside uses for a refusal."""

OK = 0
SIGNAL_TOO_WEAK = 1
HISTORY_TOO_SHORT = 2
WITHIN_BAND = 3
BELOW_MIN_TRADE = 4
BELOW_VENUE_MINIMUM = 5
UNSELLABLE = 6
COSTS_TOO_HIGH = 7
POSITION_CAP = 8
RISK_PER_TRADE = 9
CASH_BUFFER = 10
VENUE_CASH = 11
PRICE_MOVED = 12
EDGE_BRAKE = 13
HEAT = 14
VOLATILITY_ROOM = 15
DRAWDOWN = 16
RISK_REWARD = 17
FEE_BUDGET = 18
NO_BREAKOUT = 19
NO_EDGE = 20

MINIMUM_TRADE = 21
"""Refuses nothing: the binding "cap" of an order that the floor of one minimum trade lifted."""
MARKET_FLAT = 22
MARKET_CRASH = 23
LOW_CONFIDENCE = 24

REFUSAL_NAMES = (
    "",
    "signal_too_weak",
    "history_too_short",
    "within_band",
    "below_min_trade",
    "below_venue_minimum",
    "unsellable",
    "costs_too_high",
    "position_cap",
    "risk_per_trade",
    "cash_buffer",
    "venue_cash",
    "price_moved",
    "edge_brake",
    "heat",
    "volatility_room",
    "drawdown",
    "risk_reward",
    "fee_budget",
    "no_breakout",
    "no_edge",
    "minimum_trade",
    "market_flat",
    "market_crash",
    "low_confidence",
)

UNITS = {
    SIGNAL_TOO_WEAK: ("score", 1.0),
    COSTS_TOO_HIGH: ("pct", 100.0),
    PRICE_MOVED: ("pct", 100.0),
    EDGE_BRAKE: ("pct", 100.0),
    DRAWDOWN: ("pct", 100.0),
    NO_EDGE: ("ratio", 1.0),
    RISK_REWARD: ("ratio", 1.0),
    NO_BREAKOUT: ("count", 1.0),
    MARKET_FLAT: ("pct", 100.0),
    MARKET_CRASH: ("pct", 100.0),
    LOW_CONFIDENCE: ("pct", 100.0),
}
"""By code: the unit that the outside uses for its limit and actual value, and the factor to it; all others are USD."""

HOLD = 0
ENTER = 1
ADD = 2
REDUCE = 3
EXIT = 4
REFUSE = 5

ACTION_NAMES = ("hold", "enter", "add", "reduce", "exit", "refuse")
