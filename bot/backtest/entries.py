"""Entries: what is decided, how much of it is bought, and what becomes of an order that rests.

What ``engine/decision``, ``engine/sizing`` and ``engine/entries`` do.
"""

import math
from collections.abc import MutableSequence

from bot.backtest.guard import note_record
from bot.backtest.layout import (
    AGAIN_CROSSES,
    AGAIN_LOTS,
    ALLOCATION,
    BAR,
    BELOW,
    BELOW_ACTIVATION,
    BID,
    BREAKOUT,
    CASH,
    CENT_UNITS,
    DAILY_LOSS_REACHED,
    DAY,
    DAY_LOSS,
    DECIDED_PRICE,
    DECISIONS,
    DRAWDOWN,
    EDGE_CHANCE,
    EDGE_CONSTRAINED,
    EDGE_MEAN,
    EDGE_USED,
    ENTRY_A,
    ENTRY_B,
    ENTRY_BOUGHT,
    ENTRY_CROSSED,
    ENTRY_LOTS,
    ENTRY_MS,
    ENTRY_NOT_FILLED,
    ENTRY_PLACE,
    ENTRY_STOP,
    ENTRY_TRIES,
    FEE_DAYS_KEPT,
    FEE_UNITS,
    FREE,
    HALF_NEXT,
    HALTED,
    IS_NEW,
    LAST,
    LAST_EXIT_MS,
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
    ORDER_MS,
    ORDER_REJECTED,
    ORDERS,
    PLACES,
    PLAN_STOP_FRAC,
    PLANNED_STOP,
    PRICE_UNITS,
    RANKED,
    RECORD_MS,
    RECORD_READ,
    REFUSED_BITS,
    RESULTS,
    RESULTS_KEPT,
    REWARD,
    SALE,
    SPENT,
    SPREAD,
    STALE_DATA,
    STREAK_UNTIL_MS,
    TIER,
    VENUE_DORMANT,
    WHY_DECIDED,
    Book,
    Market,
    Signals,
    Terms,
)
from bot.backtest.orders import buy, fee_of, is_dust, lots_needed, plan_sale, price_above
from bot.decide.allocation import STOP_ATR as ALLOCATION_STOP_ATR
from bot.decide.allocation import intend as intend_allocation
from bot.decide.allocation import lots_to_sell
from bot.decide.breakout import STOP_ATR as BREAKOUT_STOP_ATR
from bot.decide.breakout import intend as intend_breakout
from bot.decide.codes import ADD, ENTER, EXIT, OK, PRICE_MOVED, REDUCE, REFUSE, RISK_REWARD
from bot.decide.codes import DRAWDOWN as DRAWDOWN_REACHED
from bot.decide.costs import SLIPPAGE, Rules, loss_per_unit
from bot.decide.exits import TRAIL, TRAIL_TIGHT, net_reward, stop_distance
from bot.decide.guards import risk_reward, spread
from bot.decide.intents import MAX_MOVE, Coin, Intent
from bot.decide.kelly import Edge, edge_of_results, result_weight
from bot.decide.measured import measured_reward
from bot.decide.risk import drawdown_scale
from bot.decide.sizer import (
    CORRELATION,
    VOLATILITY_CEILING,
    VOLATILITY_TARGET,
    Candidate,
    Holdings,
    Limits,
    Order,
    blend_of,
    book_covariance,
    book_variance,
    mark_heat,
    refused,
    size_position,
)

HALF_SIZE = 0.5
FEE_WINDOW_DAYS = 30
REPRICED_AFTER_MS = 300_000
REPRICED_AT_MOST = 3


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
    )


def priced(coin: Coin, price: float, distance: float) -> Coin:
    """Return the same coin at another price."""
    return Coin(coin.score, coin.volatility, distance, price, coin.bar_close, coin.held_usd)


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
    candidate = Candidate(coin.volatility, coin.stop_distance, coin.price, terms.gap[c], coin.held_usd, wish)
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


# -- the decision of a day


def wanted_of(
    market: Market, signals: Signals, terms: Terms, book: Book, c: int, coin: Coin, equity: float, now_ms: int
) -> Intent:
    """Return what the strategy wants of a coin."""
    own = book.coin[c]
    if terms.strategy == BREAKOUT:
        bar = own[BAR]
        since = signals.since_breakout[c][bar]
        if not math.isnan(since):
            closed_ms = signals.open_ms[c][bar] + MS_PER_DAY - since * MS_PER_DAY
            if own[LAST_EXIT_MS] >= closed_ms:
                since = math.nan
        return intend_breakout(coin, since, terms.min_score)
    best = 0.0
    if not (math.isnan(coin.stop_distance) or math.isnan(coin.volatility)):
        note_record(book.total, now_ms)
        free = free_cash(book)
        bare = Holdings(
            equity,
            equity if terms.size_on_equity else free + coin.held_usd,
            0.0,
            0.0,
            book.rate[DRAWDOWN],
            book.rate[DAY_LOSS],
            0.0,
            0.0,
            0.0,
            0.0,
            book.total[RESULTS],
        )
        candidate = Candidate(coin.volatility, coin.stop_distance, coin.price, terms.gap[c], coin.held_usd, math.inf)
        blend = blend_of(
            candidate, rules_of(terms, c, terms.maker), bare, limits_of(market, terms, book), read_record(terms, book)
        )
        best = max(0.0, blend.mixed)
    return intend_allocation(
        coin,
        equity,
        terms.position_cap,
        equity if terms.size_on_equity else free_cash(book) + coin.held_usd,
        best,
        market.coins,
        drawdown_scale(book.rate[DRAWDOWN], terms.max_drawdown),
        terms.min_score,
        terms.min_trade,
    )


def decide_coin(market: Market, signals: Signals, terms: Terms, book: Book, c: int, equity: float, now_ms: int) -> None:
    """Decide a coin: an entry becomes a plan of this cycle, a sale a planned one, anything else a refusal."""
    own, level, total = book.coin[c], book.level[c], book.total
    total[DECISIONS] += 1
    coin = coin_of(signals, terms, book, c)
    intent = wanted_of(market, signals, terms, book, c, coin, equity, now_ms)
    own[SALE] = 0  # what an older decision wanted to sell and could not: the newer one knows better
    if intent.action == REFUSE:
        refuse(book, c, intent.code)
    elif intent.action in (REDUCE, EXIT):
        if total[HALTED] == 0:
            plan_exit(terms, book, c, coin, intent)
    elif intent.action in (ENTER, ADD):
        code = block_of(book.total, now_ms)
        if code == OK:
            code = why_unfit(market, terms, book, c, -1, now_ms)
        if code != OK:
            refuse(book, c, code)
            return
        order = first_size(market, signals, terms, book, c, coin, intent, equity, now_ms)
        if order.lots == 0:
            refuse(book, c, order.code)
            return
        level[ENTRY_STOP] = coin.stop_distance
        spend(terms, book, order.notional)
        own[AGAIN_LOTS] = 0
        own[ENTRY_LOTS] = order.lots
        own[ENTRY_BOUGHT] = 0
        own[ENTRY_MS] = now_ms
        own[ENTRY_TRIES] = 0
        own[ENTRY_CROSSED] = 0
        own[ENTRY_PLACE] = total[PLACES]
        total[PLACES] += 1
        own[IS_NEW] = 1
        level[DECIDED_PRICE] = own[BID] / CENT_UNITS
        level[PLAN_STOP_FRAC] = coin.stop_distance
        level[ENTRY_A] = coin.score
        level[ENTRY_B] = intent.target_usd


def first_size(
    market: Market,
    signals: Signals,
    terms: Terms,
    book: Book,
    c: int,
    coin: Coin,
    intent: Intent,
    equity: float,
    now_ms: int,
) -> Order:
    """Size the wish at the bid; after a pause for losses the first entry is half of what it would be."""
    at_bid = priced(coin, book.coin[c][BID] / CENT_UNITS, coin.stop_distance)
    order = size(market, signals, terms, book, c, at_bid, intent.gap_usd, equity, terms.maker, now_ms)
    if book.total[HALF_NEXT] == 0 or intent.action != ENTER or order.lots == 0:
        return order
    # At least the smallest order, or a small account could never enter again; 1 %: lots are rounded down.
    smallest = max(terms.min_trade, terms.min_amount[c] * at_bid.price, terms.min_cost)
    half = max(HALF_SIZE * order.notional, min(order.notional, 1.01 * smallest))
    return size(market, signals, terms, book, c, at_bid, half, equity, terms.maker, now_ms)


def plan_exit(terms: Terms, book: Book, c: int, coin: Coin, intent: Intent) -> None:
    """Plan the sale that a decision asks for, as far as the venue takes it."""
    own = book.coin[c]
    if own[LOTS] == 0:
        return
    lots = own[LOTS]
    if intent.action == REDUCE:
        worth = own[LOTS] * (1.0 / LOT_UNITS) * coin.price
        gap = -min(-intent.gap_usd, worth)
        lots = lots_to_sell(gap, coin.price, coin.stop_distance, own[LOTS], rules_of(terms, c, terms.maker))
    if lots > 0:
        plan_sale(book, c, own[LOTS] - lots, WHY_DECIDED, coin.score, intent.target_usd)


# -- orders that rest


def tend(market: Market, terms: Terms, book: Book, now_ms: int) -> None:
    """Take back what may not rest any longer; what is worth another try is marked to be sent again."""
    blocked = block_of(book.total, now_ms) != OK
    for _ in range(market.coins):
        c = next_plan(market, book)
        if c < 0:
            break
        own = book.coin[c]
        own[RANKED] = 1
        over = blocked or now_ms - own[ENTRY_MS] >= terms.patience_s * 1000.0
        rested = own[ORDER_LOTS] > 0
        # Of its newest order, whether that rests or has been filled.
        moved = (
            own[ENTRY_TRIES] < REPRICED_AT_MOST
            and own[BID] > own[ORDER_CENTS]
            and now_ms - own[ORDER_MS] >= REPRICED_AFTER_MS
        )
        if rested and not over and not moved:
            continue
        if rested:  # what it held is free again; the balances are from before
            spend(terms, book, -(own[ORDER_LOTS] * own[ORDER_CENTS] / MONEY_UNITS))
            own[ORDER_LOTS] = 0
        left = own[ENTRY_LOTS] - own[ENTRY_BOUGHT]
        crosses = over and not blocked and terms.crosses == 1 and own[ENTRY_CROSSED] == 0
        if left < lots_needed(terms, c, own[BID]):
            own[ENTRY_LOTS] = 0
        elif crosses or (not over and (rested or moved) and own[ENTRY_TRIES] < REPRICED_AT_MOST):
            own[AGAIN_LOTS] = left
            own[AGAIN_CROSSES] = 1 if crosses else 0
        else:
            give_up(book, c, block_of(book.total, now_ms) if blocked else ENTRY_NOT_FILLED)
    for c in range(market.coins):
        book.coin[c][RANKED] = 0


def next_plan(market: Market, book: Book) -> int:
    """Return the coin whose plan is the oldest that has not been looked at; -1 without one."""
    best = -1
    for c in range(market.coins):
        own = book.coin[c]
        if own[ENTRY_LOTS] > 0 and own[RANKED] == 0 and (best < 0 or own[ENTRY_PLACE] < book.coin[best][ENTRY_PLACE]):
            best = c
    return best


def give_up(book: Book, c: int, code: int) -> None:
    """End a plan; a refusal where it has bought nothing at all."""
    if drop_plan(book, c):
        refuse(book, c, code)


def drop_plan(book: Book, c: int) -> bool:
    """End a plan; returns whether it has bought nothing. Then no stop moves for it."""
    own = book.coin[c]
    bought = own[ENTRY_BOUGHT]
    own[ENTRY_LOTS] = 0
    own[AGAIN_LOTS] = 0
    if bought == 0 and own[PLANNED_STOP] > 0:
        book.level[c][ENTRY_STOP] = math.nan
    return bought == 0


def send_again(market: Market, signals: Signals, terms: Terms, book: Book, c: int, equity: float, now_ms: int) -> None:
    """Send what is left of a plan at today's price, if every limit still lets it."""
    own, level = book.coin[c], book.level[c]
    crosses, lots = own[AGAIN_CROSSES] == 1, own[AGAIN_LOTS]
    own[AGAIN_LOTS] = 0
    code = block_of(book.total, now_ms)
    if code == OK:
        code = why_unfit(market, terms, book, c, c, now_ms)
    if code != OK:
        give_up(book, c, code)
        return
    cents = price_above(own[LAST], terms.half_spread, terms.tick_cents[c]) if crosses else own[BID]
    price = cents / CENT_UNITS
    if abs(price / level[DECIDED_PRICE] - 1.0) > MAX_MOVE * level[PLAN_STOP_FRAC]:
        give_up(book, c, PRICE_MOVED)
        return
    coin = coin_of(signals, terms, book, c)
    distance = level[PLAN_STOP_FRAC] if math.isnan(coin.stop_distance) else coin.stop_distance
    order = size(
        market,
        signals,
        terms,
        book,
        c,
        priced(coin, price, distance),
        lots * (1.0 / LOT_UNITS) * price,
        equity,
        terms.taker if crosses else terms.maker,
        now_ms,
    )
    if order.lots == 0:
        give_up(book, c, order.code)
        return
    if order.lots > lots:  # the smallest trade, at a price that has fallen
        own[ENTRY_LOTS] += order.lots - lots
    own[ENTRY_TRIES] += 1
    own[ENTRY_CROSSED] = 1 if crosses else 0
    level[PLAN_STOP_FRAC] = distance
    level[ENTRY_STOP] = distance
    spend(terms, book, order.lots / LOT_UNITS * price)
    send(market, terms, book, c, order.lots, cents, crosses, now_ms)


def send(market: Market, terms: Terms, book: Book, c: int, lots: int, cents: int, crosses: bool, now_ms: int) -> None:
    """Send an entry: to rest at the bid, or to be executed at the ask."""
    own, total = book.coin[c], book.total
    total[ORDERS] += 1
    own[ORDER_CENTS] = cents
    own[ORDER_MS] = now_ms
    held = 0
    for j in range(market.coins):
        held += money_held(terms, book, j)
    if held_by(terms, lots, cents) > total[CASH] - held:
        give_up(book, c, ORDER_REJECTED)
    elif crosses:
        buy(terms, book, c, cents, lots, terms.taker_rate, now_ms)
    else:
        own[ORDER_LOTS] = lots


def held_by(terms: Terms, lots: int, cents: int) -> int:
    """Money that the venue holds for a purchase: its cost and the taker's fee."""
    return lots * cents + fee_of(lots * cents, terms.taker_rate) * (MONEY_UNITS // FEE_UNITS)


def money_held(terms: Terms, book: Book, c: int) -> int:
    """Money that the entry of a coin holds."""
    own = book.coin[c]
    return held_by(terms, own[ORDER_LOTS], own[ORDER_CENTS]) if own[ORDER_LOTS] > 0 else 0
