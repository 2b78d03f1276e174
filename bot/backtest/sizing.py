"""The account and a coin as the sizer sees them, and whole lots from a wish.

What ``engine/sizing``, ``engine/exposure`` and ``engine/gates`` do.
"""

import math
from collections.abc import MutableSequence

from bot.backtest.guard import note_record
from bot.backtest.layout import (
    ALLOCATION,
    BAR,
    BELOW,
    BELOW_ACTIVATION,
    BID,
    BREAKOUT,
    CASH,
    CENT_UNITS,
    CONFIDENCE,
    CONFIDENCE_OWN,
    DAILY_LOSS_REACHED,
    DAY,
    DAY_LOSS,
    DRAWDOWN,
    EDGE_CHANCE,
    EDGE_CONSTRAINED,
    EDGE_MEAN,
    EDGE_USED,
    ENTRY_LOTS,
    ENTRY_STOP,
    FEE_DAYS_KEPT,
    FEE_UNITS,
    FOLLOWING,
    FOLLOWS_MASTER,
    FREE,
    HALTED,
    IS_NEW,
    LAST,
    LAST_MS,
    LOSS_DAY,
    LOSS_STREAK,
    LOT_UNITS,
    LOTS,
    MAX_POSITIONS,
    MONEY_UNITS,
    MS_PER_DAY,
    NO_MARKET,
    ORDER_CENTS,
    ORDER_LOTS,
    PLANNED_STOP,
    PRICE_UNITS,
    RECORD_MS,
    RECORD_READ,
    REFUSED_BITS,
    RESULTS,
    RESULTS_KEPT,
    REWARD,
    SPENT,
    SPREAD,
    STALE_DATA,
    STREAK_UNTIL_MS,
    TIER,
    VENUE_DORMANT,
    Book,
    Market,
    Signals,
    Terms,
)
from bot.backtest.orders import is_dust, price_above
from bot.decide.allocation import STOP_ATR as ALLOCATION_STOP_ATR
from bot.decide.breakout import STOP_ATR as BREAKOUT_STOP_ATR
from bot.decide.codes import DRAWDOWN as DRAWDOWN_REACHED
from bot.decide.codes import OK, RISK_REWARD
from bot.decide.confidence import Confidence, Evidence, confidence_of, holds_back
from bot.decide.costs import SLIPPAGE, Rules, loss_per_unit
from bot.decide.exits import TRAIL, TRAIL_TIGHT, net_reward, stop_distance
from bot.decide.guards import risk_reward, spread
from bot.decide.intents import Coin
from bot.decide.kelly import Edge, edge_of_results, result_weight
from bot.decide.measured import measured_reward
from bot.decide.sizer import (
    CORRELATION,
    VOLATILITY_CEILING,
    VOLATILITY_TARGET,
    Candidate,
    Holdings,
    Limits,
    Order,
    book_covariance,
    book_variance,
    mark_heat,
    refused,
    size_position,
)

FEE_WINDOW_DAYS = 30


# -- the account as the sizer sees it


def equity_money(market: Market, book: Book) -> int:
    """Cash and positions at the bid."""
    money = book.total[CASH]
    for c in range(market.coins):
        own = book.coin[c]
        money += own[LOTS] * own[BID]
    return money


def rules_of(terms: Terms, c: int, fee_in: float) -> Rules:
    """Return the market rules of a coin."""
    return Rules(1.0 / LOT_UNITS, terms.min_amount[c], terms.min_cost, fee_in, terms.taker)


def tier_positions(terms: Terms, book: Book) -> int:
    """Positions that tier and user allow."""
    tier = book.total[TIER]
    allowed = terms.tier_positions[tier] if tier >= 0 else 0
    return min(allowed, terms.max_positions) if terms.max_positions > 0 else allowed


def tier_risk(terms: Terms, book: Book) -> float:
    """Risk per trade that tier and user allow, a fraction."""
    tier = book.total[TIER]
    allowed = terms.tier_risk[tier] if tier >= 0 else 0.0
    return allowed if math.isnan(terms.risk_ceiling) else min(allowed, terms.risk_ceiling)


def limits_of(market: Market, terms: Terms, book: Book) -> Limits:
    """Return what settings and tier allow."""
    return Limits(
        terms.position_cap,
        tier_risk(terms, book),
        terms.cash_buffer,
        terms.daily_loss,
        terms.max_drawdown,
        terms.fee_budget,
        terms.min_trade,
        max(1, min(tier_positions(terms, book), market.coins)),
        terms.kelly_weight,
        terms.volatility_weight,
        terms.equity_weight,
        terms.floor_allowed,
        CORRELATION,
        VOLATILITY_TARGET,
        VOLATILITY_CEILING,
    )


def read_record(terms: Terms, book: Book) -> Edge:
    """Read the closed trades, where they have not been read since they were noted."""
    total, rate = book.total, book.rate
    if total[RECORD_READ] == 0:
        last = total[RESULTS]
        first = max(0, last - RESULTS_KEPT)
        for i in range(first, last):
            book.weight[i] = result_weight((total[RECORD_MS] - book.result_ms[i]) / MS_PER_DAY)
        results, weights = book.result[first:last], book.weight[first:last]
        edge = edge_of_results(results, weights, terms.max_drawdown)
        idle = (total[RECORD_MS] - book.result_ms[last - 1]) / MS_PER_DAY if last > 0 else 0.0
        rate[EDGE_MEAN] = edge.mean
        rate[EDGE_USED] = edge.used
        rate[EDGE_CONSTRAINED] = edge.constrained
        rate[EDGE_CHANCE] = edge.chance
        rate[REWARD] = measured_reward(results, idle)
        own = confidence_of(results, idle, Evidence(0.0, 0.0, 0.0))
        rate[CONFIDENCE] = own.chance
        rate[CONFIDENCE_OWN] = own.own
        total[RECORD_READ] = 1
    return Edge(
        rate[EDGE_MEAN],
        math.nan,
        math.nan,
        math.nan,
        rate[EDGE_USED],
        rate[EDGE_CONSTRAINED],
        rate[EDGE_CHANCE],
        math.nan,
        math.nan,
    )


def is_doubted(terms: Terms, book: Book, now_ms: int) -> bool:
    """Whether the trade filter has too little confidence in an entry now."""
    if math.isnan(terms.min_confidence):
        return False
    note_record(book.total, now_ms)
    read_record(terms, book)
    return holds_back(Confidence(book.rate[CONFIDENCE], book.rate[CONFIDENCE_OWN], 0.0), terms.min_confidence)


def free_cash(book: Book) -> float:
    """USD that no order holds and none of this cycle has taken."""
    return max(0.0, book.rate[FREE] - book.rate[SPENT])


def holdings_of(
    market: Market, signals: Signals, terms: Terms, book: Book, c: int, coin: Coin, equity: float
) -> Holdings:
    """Return the account and what it carries already, for a purchase of coin ``c``."""
    fees_due = 0.0
    heat = 0.0
    shares = [0.0 for _ in range(0)]
    volatilities = [0.0 for _ in range(0)]
    correlations = [0.0 for _ in range(0)]
    for j in range(market.coins):
        own, level = book.coin[j], book.level[j]
        share = 0.0
        if own[LOTS] > 0:
            price = own[BID] / CENT_UNITS
            usd = own[LOTS] / LOT_UNITS * price
            distance = 1.0 if math.isnan(level[ENTRY_STOP]) else level[ENTRY_STOP]
            if own[PLANNED_STOP] > 0:
                distance = 1.0 - own[PLANNED_STOP] / CENT_UNITS / price
            heat += mark_heat(usd, distance, terms.taker, terms.gap[j])
            fees_due += usd * terms.taker
            share += usd / equity
        usd = 0.0
        if own[ORDER_LOTS] > 0:
            usd = own[ORDER_LOTS] * own[ORDER_CENTS] / MONEY_UNITS
        elif own[IS_NEW] == 1:  # decided a moment ago
            usd = own[ENTRY_LOTS] * (1.0 / LOT_UNITS * (own[BID] / CENT_UNITS))
        if usd > 0.0:
            distance = 1.0 if math.isnan(level[ENTRY_STOP]) else level[ENTRY_STOP]
            heat += usd * (loss_per_unit(distance, terms.maker, terms.taker, SLIPPAGE) + terms.gap[j])
            fees_due += usd * (terms.maker + terms.taker)
            share += usd / equity
        if share > 0.0:
            shares.append(share)
            volatility = volatility_of(signals, book, j)
            volatilities.append(volatility if volatility > 0.0 else 1.0)
            correlations.append(1.0 if j == c else CORRELATION)
    paid = 0
    today = book.total[DAY]
    for day in range(today - FEE_WINDOW_DAYS + 1, today + 1):
        if book.fee_day[day % FEE_DAYS_KEPT] == day:
            paid += book.fee_sum[day % FEE_DAYS_KEPT]
    free = free_cash(book)
    return Holdings(
        equity,
        equity if terms.size_on_equity else free + coin.held_usd,
        free,
        free,
        book.rate[DRAWDOWN],
        book.rate[DAY_LOSS],
        heat,
        book_variance(shares, volatilities, CORRELATION),
        book_covariance(coin.volatility, shares, volatilities, correlations),
        paid / FEE_UNITS + fees_due,
        book.total[RESULTS],
    )


# -- one coin


def volatility_of(signals: Signals, book: Book, c: int) -> float:
    """Annual volatility after the newest known bar; NaN without one."""
    bar = book.coin[c][BAR]
    return signals.volatility[c][bar] if bar >= 0 else math.nan


def coin_of(signals: Signals, terms: Terms, book: Book, c: int) -> Coin:
    """Return a coin as its decision sees it."""
    own = book.coin[c]
    bar = own[BAR]
    close = signals.closes[c][bar]
    price = own[LAST] / PRICE_UNITS if own[LAST] > 0 else close
    held = 0.0
    if own[LOTS] > 0 and not is_dust(terms, book, c):
        held = own[LOTS] / LOT_UNITS * price
    if own[ORDER_LOTS] > 0:
        held += own[ORDER_LOTS] * own[ORDER_CENTS] / MONEY_UNITS
    multiple = ALLOCATION_STOP_ATR if terms.strategy == ALLOCATION else BREAKOUT_STOP_ATR
    return Coin(
        signals.score[c][bar],
        signals.volatility[c][bar],
        stop_distance(signals.atr[c][bar], price, multiple),
        price,
        close,
        held,
        int(signals.mode[c][bar]),
        signals.trend[c][bar],
        signals.rank[c][bar],
        signals.scale[c][bar],
    )


def priced(coin: Coin, price: float, distance: float) -> Coin:
    """Return the same coin at another price."""
    return Coin(
        coin.score,
        coin.volatility,
        distance,
        price,
        coin.bar_close,
        coin.held_usd,
        coin.mode,
        coin.trend,
        coin.rank,
        coin.scale,
    )


def refuse(book: Book, c: int, code: int) -> None:
    """Count a refusal, once per daily bar, coin and code."""
    own = book.coin[c]
    bit = 1 << code
    if own[REFUSED_BITS] & bit == 0:
        own[REFUSED_BITS] |= bit
        book.refused[code] += 1


def block_of(total: MutableSequence[int], now_ms: int) -> int:
    """Why nothing may be entered now; OK where it may."""
    if total[HALTED] == 1:
        return DRAWDOWN_REACHED
    if total[FOLLOWS_MASTER] == 1:
        return FOLLOWING
    if total[LOSS_DAY] == total[DAY]:
        return DAILY_LOSS_REACHED
    if total[BELOW] == 1:
        return BELOW_ACTIVATION
    if now_ms < total[STREAK_UNTIL_MS]:
        return LOSS_STREAK
    return OK


def places_taken(market: Market, terms: Terms, book: Book, without: int) -> int:
    """Count coins that are held, ordered or planned; the plan of ``without`` counts only for what rests or is held."""
    taken = 0
    for j in range(market.coins):
        if takes_place(terms, book, j, without):
            taken += 1
    return taken


def takes_place(terms: Terms, book: Book, c: int, without: int) -> bool:
    """Whether a coin takes one of the tier's places."""
    own = book.coin[c]
    if own[LOTS] > 0 and not is_dust(terms, book, c):
        return True
    return own[ORDER_LOTS] > 0 or (own[ENTRY_LOTS] > 0 and c != without)


def why_unfit(market: Market, terms: Terms, book: Book, c: int, without: int, now_ms: int) -> int:
    """Why the account takes no entry in a coin now; OK where it does."""
    own = book.coin[c]
    if own[LAST] == 0:
        return NO_MARKET
    if not takes_place(terms, book, c, without) and places_taken(market, terms, book, without) >= tier_positions(
        terms, book
    ):
        return MAX_POSITIONS
    worth = book.total[CASH] / MONEY_UNITS
    for j in range(market.coins):
        if book.coin[j][LOTS] > 0:
            worth += book.coin[j][LOTS] * book.coin[j][BID] / MONEY_UNITS
    if worth < terms.venue_minimum:
        return VENUE_DORMANT
    if (now_ms - own[LAST_MS]) / 1000.0 > terms.stale_after_s:
        return STALE_DATA
    ask = price_above(own[LAST], terms.half_spread, terms.tick_cents[c])
    if spread(own[BID] / CENT_UNITS, ask / CENT_UNITS, terms.max_spread).active:
        return SPREAD
    return OK


def size(
    market: Market,
    signals: Signals,
    terms: Terms,
    book: Book,
    c: int,
    coin: Coin,
    wish: float,
    equity: float,
    fee_in: float,
    now_ms: int,
) -> Order:
    """Size a wish in coin ``c``."""
    note_record(book.total, now_ms)
    edge = read_record(terms, book)
    candidate = Candidate(
        coin.volatility, coin.stop_distance, coin.price, terms.gap[c], coin.held_usd, wish, coin.scale
    )
    holdings = holdings_of(market, signals, terms, book, c, coin, equity)
    rules = rules_of(terms, c, fee_in)
    _, _, order = size_position(candidate, rules, holdings, limits_of(market, terms, book), edge)
    if order.lots == 0:
        return order
    reward = book.rate[REWARD]
    if terms.strategy == BREAKOUT and terms.exit_rule not in (TRAIL, TRAIL_TIGHT):
        reward = net_reward(terms.exit_rule, order.exits, coin.stop_distance, fee_in, terms.taker, SLIPPAGE)
    if not math.isnan(reward):
        gate = risk_reward(reward, terms.min_reward)
        if gate.active:
            return refused(order.notional, order.binding, RISK_REWARD, gate.limit, gate.used)
    return order


def spend(terms: Terms, book: Book, usd: float) -> None:
    """Count what an order is about to take, with the worst fee."""
    book.rate[SPENT] += usd * (1.0 + terms.taker)
