"""Entries: what is decided, how much of it is bought, and what becomes of an order that rests.

What ``engine/decision`` and ``engine/entries`` do.
"""

import math

from bot.backtest.guard import note_record
from bot.backtest.layout import (
    AGAIN_CROSSES,
    AGAIN_LOTS,
    BAR,
    BID,
    BREAKOUT,
    CASH,
    CENT_UNITS,
    DAY_LOSS,
    DECIDED_PRICE,
    DECISIONS,
    DRAWDOWN,
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
    FEE_UNITS,
    HALF_NEXT,
    HALTED,
    IS_NEW,
    LAST,
    LAST_EXIT_MS,
    LOT_UNITS,
    LOTS,
    MONEY_UNITS,
    MS_PER_DAY,
    ORDER_CENTS,
    ORDER_LOTS,
    ORDER_MS,
    ORDER_REJECTED,
    ORDERS,
    PLACES,
    PLAN_STOP_FRAC,
    PLANNED_STOP,
    RANKED,
    RESULTS,
    SALE,
    WHY_DECIDED,
    Book,
    Market,
    Signals,
    Terms,
)
from bot.backtest.orders import buy, fee_of, lots_needed, plan_sale, price_above
from bot.backtest.sizing import (
    block_of,
    coin_of,
    free_cash,
    is_doubted,
    limits_of,
    priced,
    read_record,
    refuse,
    rules_of,
    size,
    spend,
    why_unfit,
)
from bot.decide.allocation import intend as intend_allocation
from bot.decide.allocation import lots_to_sell
from bot.decide.breakout import intend as intend_breakout
from bot.decide.codes import ADD, ENTER, EXIT, LOW_CONFIDENCE, OK, PRICE_MOVED, REDUCE, REFUSE
from bot.decide.intents import MAX_MOVE, Coin, Intent
from bot.decide.risk import drawdown_scale
from bot.decide.sizer import (
    Candidate,
    Holdings,
    Order,
    blend_of,
)

HALF_SIZE = 0.5
REPRICED_AFTER_MS = 300_000
REPRICED_AT_MOST = 3


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
    # What the legs allow is asked only where something may be bought or is held.
    asked = coin.held_usd > 0.0 or not coin.score < terms.min_score
    if asked and not (math.isnan(coin.stop_distance) or math.isnan(coin.volatility)):
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
        candidate = Candidate(
            coin.volatility, coin.stop_distance, coin.price, terms.gap[c], coin.held_usd, math.inf, coin.scale
        )
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
        if code == OK and is_doubted(terms, book, now_ms):
            code = LOW_CONFIDENCE
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
        lots * (1.0 / LOT_UNITS * price),
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
