"""What a backtest runs on: prices on one grid, signals by day, the terms of the account, and where its state stands.

Units of the whole numbers: PRICE is 1e-8 quote units, CENT 0.01, LOT 1e-8 base units, MONEY 1e-10 quote units
(a cent times a lot), FEE 1e-8 quote units. Lists or arrays serve alike; tables are lists of rows or 2-d arrays.
"""

from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

PRICE_UNITS = 100_000_000
CENT_UNITS = 100
LOT_UNITS = 100_000_000
MONEY_UNITS = 10_000_000_000
FEE_UNITS = 100_000_000
SPREAD_UNITS = 100_000
"""Of a half spread, in tenths of a basis point."""

MS_PER_DAY = 86_400_000
MS_PER_HOUR = 3_600_000

ALLOCATION = 0
BREAKOUT = 1
"""Strategies, in the order of ``bot.domain.modes.Strategy``."""

IntTable = Sequence[MutableSequence[int]]
FloatTable = Sequence[MutableSequence[float]]


class Market(NamedTuple):
    """Execution bars of all coins on one grid: coin ``c`` at step ``k`` stands at ``c * (steps + 1) + k``, 0: no bar.

    The last column, of which only the open is used, is the bar in which the run ends.
    """

    coins: int
    steps: int
    start_ms: int
    bar_ms: int
    offset_ms: int
    """From the opening of a bar to the cycle in it."""
    end_ms: int
    opens: Sequence[int]
    lows: Sequence[int]
    closes: Sequence[int]
    bids: Sequence[int]
    """At each open, in cents."""
    before: Sequence[int]
    before_ms: Sequence[int]
    """Per coin: close and end of the last bar within a day before the run, which begins in a gap perhaps; 0: none."""
    by_name: Sequence[int]
    """Coins in the order of their symbols, in which fills of one moment are told."""


class Signals(NamedTuple):
    """Daily bars and what follows from each and all before it; a row per coin, of which ``bars[c]`` places are used."""

    bars: Sequence[int]
    open_ms: Sequence[Sequence[int]]
    highs: Sequence[Sequence[float]]
    closes: Sequence[Sequence[float]]
    score: Sequence[Sequence[float]]
    volatility: Sequence[Sequence[float]]
    atr: Sequence[Sequence[float]]
    since_breakout: Sequence[Sequence[float]]
    mode: Sequence[Sequence[float]]
    """Of the regime; UNKNOWN where MARKET_REGIME_ENGINE is off."""
    trend: Sequence[Sequence[float]]
    rank: Sequence[Sequence[float]]
    scale: Sequence[Sequence[float]]


class Terms(NamedTuple):
    """Settings, fees and limits of the account, as the engine's configuration has them; fractions and USD."""

    strategy: int
    exit_rule: int
    equity_usd: float
    kelly_weight: float
    volatility_weight: float
    equity_weight: float
    size_on_equity: int
    floor_allowed: int
    crosses: int
    """1 where an entry that was not filled as maker may be tried once as taker."""
    halt_flattens: int
    follows_master: int
    position_cap: float
    cash_buffer: float
    daily_loss: float
    max_drawdown: float
    max_losses: int
    min_score: float
    min_confidence: float
    """NaN: the trade filter is off."""
    min_reward: float
    min_trade: float
    min_equity: float
    venue_minimum: float
    max_positions: int
    """The user's ceiling; 0: none."""
    risk_ceiling: float
    """A fraction; NaN: none."""
    fee_budget: float
    max_spread: float
    stale_after_s: float
    patience_s: float
    decision_delay_s: float
    maker: float
    taker: float
    maker_rate: int
    """In units of 1e-8, as are the fees."""
    taker_rate: int
    half_spread: int
    """In tenths of a basis point."""
    tick_cents: Sequence[int]
    min_lots: Sequence[int]
    min_amount: Sequence[float]
    min_cost: float
    min_cost_money: int
    gap: Sequence[float]
    tier_start: Sequence[float]
    """Equity from which each rung of the ladder applies, ascending."""
    tier_positions: Sequence[int]
    tier_risk: Sequence[float]
    """Fractions."""
    activation: float
    """Equity from which an account has a tier at all."""


class Book(NamedTuple):
    """The account's state and everything that is noted of the run; made by ``bot.backtest.run``."""

    coin: IntTable
    """A row per coin, see the places below."""
    level: FloatTable
    """Another row per coin."""
    total: MutableSequence[int]
    rate: MutableSequence[float]
    mark_ms: MutableSequence[int]
    mark: MutableSequence[float]
    """First index of each hour, in a ring of 48."""
    fee_day: MutableSequence[int]
    fee_sum: MutableSequence[int]
    """Fees of the newest days, in a ring of 32."""
    result: MutableSequence[float]
    result_ms: MutableSequence[int]
    """Closed trades with a known risk: result in R, time of closing."""
    weight: MutableSequence[float]
    """Scratch, as long as ``result``."""
    refused: MutableSequence[int]
    """Refusals by code, once per daily bar and coin."""
    day_equity: MutableSequence[float]
    """After the last cycle of each UTC day."""
    fill: IntTable
    """A row per fill: coin, ms, side (1 buys), cents, lots, fee, why."""
    fill_note: FloatTable
    """The two numbers of its reason."""
    tier_change: IntTable
    """A row per change: ms, rung before (-1: none), rung after, money."""
    net: MutableSequence[int]
    """Money that each closed trade has brought."""
    guard: IntTable
    """A row per limit that was reached: ms, which (see below); the first of them."""


# -- places in a coin's row of whole numbers

LAST = 0
LAST_MS = 1
BID = 2
LOTS = 3
COST = 4
FEES = 5
BOUGHT = 6
BOUGHT_COST = 7
SOLD = 8
PROCEEDS = 9
OPENED_MS = 10
FILLED_MS = 11
STOP_LOTS = 12
"""Of the stop that rests; 0: none does."""
STOP_CENTS = 13
PLANNED_STOP = 14
"""Where the stop belongs; 0: nowhere yet."""
FIRST_STOP = 15
SALE = 16
"""1 where a sale is planned that leaves KEEP lots."""
KEEP = 17
SALE_WHY = 18
SALE_BY_STOP = 19
TARGETS = 20
ORDER_LOTS = 21
"""Of the entry that rests; 0: none does."""
ORDER_CENTS = 22
ORDER_MS = 23
ENTRY_LOTS = 24
"""Of the plan that an entry belongs to; 0: none."""
ENTRY_MS = 25
ENTRY_TRIES = 26
ENTRY_CROSSED = 27
ENTRY_PLACE = 28
AGAIN_LOTS = 29
AGAIN_CROSSES = 30
BAR = 31
"""Newest daily bar that is known, -1: none."""
DECIDED = 32
REFUSED_BITS = 33
"""Codes that were refused for this daily bar already."""
LAST_EXIT_MS = 34
RANKED = 35
ENTRY_BOUGHT = 36
"""Lots that the plan's orders have bought."""
IS_NEW = 37
"""1 where its plan was decided in this cycle and has not been sent."""
IS_OLDER = 38
"""1 where an older plan of a coin that was decided in this cycle waits to be sent again: it ends instead."""
SALE_PLACE = 39
"""In which order sales were planned."""
WATCH_LOW = 40
WATCH_HIGH = 41
"""Bids in cents: while they are between these, and the low above the stop, nothing happens to the position."""
COIN_PLACES = 42

# -- places in a coin's row of floats

RISK = 0
"""R of the open position in USD; NaN: not known."""
ENTRY_STOP = 1
"""Stop distance of the newest entry, until its stop has been set; NaN: none."""
DECIDED_PRICE = 2
PLAN_STOP_FRAC = 3
SALE_A = 4
SALE_B = 5
ENTRY_A = 6
ENTRY_B = 7
LEVEL_PLACES = 8

# -- places in the account's whole numbers

CASH = 0
HALTED = 1
ACTIVATED = 2
DAY = 3
LOSS_DAY = 4
STREAK = 5
STREAK_UNTIL_MS = 6
STREAK_FROM_MS = 7
HALF_NEXT = 8
TIER = 9
"""-1: none yet."""
CLOSED = 10
"""Trades, dust included."""
RESULTS = 11
FILLS = 12
ORDERS = 13
MARKS = 14
ROLLING = 15
RECORD_CLOSED = 16
RECORD_DAY = 17
RECORD_MS = 18
RECORD_READ = 19
PLACES = 20
WINS = 21
FOLLOWS_MASTER = 22
"""1 where nothing is entered on signals of its own."""
FEES_PAID = 23
DAYS_SEEN = 24
DECISIONS = 25
CHANGED = 26
"""1 where this cycle has moved money or coins since equity was taken."""
LOSS_DAYS = 27
STREAKS = 28
DRAWDOWNS = 29
FIRST_BUY_MS = 30
"""0: nothing has been bought."""
BROKEN = 31
"""1 where more happened than the tables hold."""
TIER_CHANGES = 32
BELOW = 33
"""1 where the equity of this cycle is below what trading needs."""
FIRST_DAY = 34
"""UTC day in which the run begins, in days since 1970."""
TOTAL_PLACES = 35

# -- places in the account's floats

INDEX = 0
PEAK = 1
DAY_START = 2
DRAWDOWN = 3
DAY_LOSS = 4
FREE = 5
"""USD that no order held when this cycle began."""
SPENT = 6
EQUITY = 7
WORST_DRAWDOWN = 8
EXPOSURE_SUM = 9
CYCLES = 10
EDGE_MEAN = 11
EDGE_USED = 12
EDGE_CONSTRAINED = 13
EDGE_CHANCE = 14
REWARD = 15
TIER_LOW = 16
TIER_HIGH = 17
"""The tier stays while equity is at least the one and below the other."""
CONFIDENCE = 18
CONFIDENCE_OWN = 19
"""What own results alone say, and how many of them count; evidence of the same prices would know the future."""
RATE_PLACES = 20

MARKS_KEPT = 48
FEE_DAYS_KEPT = 32
RESULTS_KEPT = 500

FILL_PLACES = 7
TIER_PLACES = 4
GUARD_PLACES = 2

# -- limits

DAILY_LOSS_GUARD = 0
DRAWDOWN_GUARD = 1
STREAK_GUARD = 2

# -- why an order was sent, and what its two numbers are

WHY_ALLOCATION = 1
"""Score, target in USD."""
WHY_BREAKOUT = 2
"""Score."""
WHY_STOP = 3
WHY_DECIDED = 4
"""Score, target in USD."""
WHY_AT_STOP = 5
"""Stop in cents."""
WHY_TOO_SMALL = 6
WHY_TARGET = 7
"""Target that was reached, counted from 1; number of targets."""
WHY_TIME = 8
WHY_BELOW_STOP = 9
WHY_FLATTEN = 10

# -- refusals beyond those of the decision core

MAX_POSITIONS = 40
VENUE_DORMANT = 41
STALE_DATA = 42
SPREAD = 43
NO_MARKET = 44
BELOW_ACTIVATION = 45
DAILY_LOSS_REACHED = 46
LOSS_STREAK = 47
ENTRY_NOT_FILLED = 48
ORDER_REJECTED = 49
FOLLOWING = 50
REFUSAL_CODES = 51
