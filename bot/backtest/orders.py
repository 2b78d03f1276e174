"""Fills, the books of a position, its protective stop and its sales, in whole numbers.

What ``venues/matching``, ``books`` and ``engine/protect`` do.
"""

import math

from bot.backtest.layout import (
    ALLOCATION,
    BID,
    BOUGHT,
    BOUGHT_COST,
    BROKEN,
    CASH,
    CENT_UNITS,
    CHANGED,
    CLOSED,
    COST,
    ENTRY_A,
    ENTRY_B,
    ENTRY_BOUGHT,
    ENTRY_LOTS,
    ENTRY_STOP,
    FEE_DAYS_KEPT,
    FEES,
    FEES_PAID,
    FILLED_MS,
    FILLS,
    FIRST_BUY_MS,
    FIRST_STOP,
    HALTED,
    KEEP,
    LAST_EXIT_MS,
    LOTS,
    MONEY_UNITS,
    MS_PER_DAY,
    OPENED_MS,
    ORDER_CENTS,
    ORDER_LOTS,
    ORDERS,
    PLACES,
    PLANNED_STOP,
    PRICE_UNITS,
    PROCEEDS,
    RESULTS,
    RISK,
    SALE,
    SALE_A,
    SALE_B,
    SALE_BY_STOP,
    SALE_PLACE,
    SALE_WHY,
    SOLD,
    SPREAD_UNITS,
    STOP_CENTS,
    STOP_LOTS,
    STREAK,
    STREAK_FROM_MS,
    TARGETS,
    WHY_ALLOCATION,
    WHY_AT_STOP,
    WHY_BREAKOUT,
    WHY_STOP,
    WHY_TOO_SMALL,
    WINS,
    Book,
    Terms,
)
from bot.books.results import LOSS_MIN_R

PRICE_PER_CENT = PRICE_UNITS // CENT_UNITS
LEAST_LOSS_R = float(LOSS_MIN_R)
"""A trade counts for the loss streak from a net loss of this many R (design.md, Three losses)."""
FALLBACK_STOP = 0.10


# -- prices


def price_below(price: int, half_spread: int, tick_cents: int) -> int:
    """Half a spread below a price, on the tick, in cents: what a seller gets. In two parts: the product may not fit."""
    whole = price // SPREAD_UNITS
    rest = price - whole * SPREAD_UNITS
    below = whole * (SPREAD_UNITS - half_spread) + rest * (SPREAD_UNITS - half_spread) // SPREAD_UNITS
    return max(below // (PRICE_PER_CENT * tick_cents), 1) * tick_cents


def price_above(price: int, half_spread: int, tick_cents: int) -> int:
    """Half a spread above a price, on the tick, in cents: what a buyer pays."""
    whole = price // SPREAD_UNITS
    rest = price - whole * SPREAD_UNITS
    above = whole * (SPREAD_UNITS + half_spread) - -rest * (SPREAD_UNITS + half_spread) // SPREAD_UNITS
    return -(-above // (PRICE_PER_CENT * tick_cents)) * tick_cents


def cents_down(price: float, tick_cents: int) -> int:
    """A price in USD, down to its tick, in cents."""
    cents = int(price * CENT_UNITS)
    if cents / CENT_UNITS > price:
        cents -= 1
    elif (cents + 1) / CENT_UNITS <= price:
        cents += 1
    return cents // tick_cents * tick_cents


def cents_up(price: float, tick_cents: int) -> int:
    """A price in USD, up to its tick, in cents."""
    cents = int(price * CENT_UNITS)
    if cents / CENT_UNITS < price:
        cents += 1
    return -(-cents // tick_cents) * tick_cents


def fee_of(money: int, rate: int) -> int:
    """Fee of a fill, rounded up; ``rate`` in units of 1e-8. In two parts, for the product may not fit."""
    whole = money // MONEY_UNITS
    return whole * rate + -(-(money - whole * MONEY_UNITS) * rate // MONEY_UNITS)


def lots_needed(terms: Terms, c: int, cents: int) -> int:
    """Smallest order in lots that the venue takes at this price."""
    return max(terms.min_lots[c], -(-terms.min_cost_money // cents), 1)


# -- fills


def note_fill(
    book: Book, c: int, ms: int, buys: int, cents: int, lots: int, fee: int, why: int, a: float, b: float
) -> None:
    """Keep a fill, and its fee by day."""
    total = book.total
    day = ms // MS_PER_DAY
    place = day % FEE_DAYS_KEPT
    if book.fee_day[place] != day:
        book.fee_day[place] = day
        book.fee_sum[place] = 0
    book.fee_sum[place] += fee
    total[FEES_PAID] += fee
    total[CHANGED] = 1
    if buys == 1 and total[FIRST_BUY_MS] == 0:
        total[FIRST_BUY_MS] = ms
    place = total[FILLS]
    total[FILLS] = place + 1
    if place >= len(book.fill):
        if len(book.fill) > 0:  # else none is to be kept
            total[BROKEN] = 1
        return
    row = book.fill[place]
    row[0] = c
    row[1] = ms
    row[2] = buys
    row[3] = cents
    row[4] = lots
    row[5] = fee
    row[6] = why
    note = book.fill_note[place]
    note[0] = a
    note[1] = b


def buy(terms: Terms, book: Book, c: int, cents: int, lots: int, rate: int, ms: int) -> None:
    """Add a purchase to the position, or open one."""
    own, level = book.coin[c], book.level[c]
    money = cents * lots
    fee = fee_of(money, rate)
    book.total[CASH] -= money + fee * (MONEY_UNITS // 100_000_000)
    if own[LOTS] == 0:
        own[COST] = 0
        own[FEES] = 0
        own[BOUGHT] = 0
        own[BOUGHT_COST] = 0
        own[SOLD] = 0
        own[PROCEEDS] = 0
        own[OPENED_MS] = ms
        own[PLANNED_STOP] = 0
        own[SALE] = 0
        own[TARGETS] = 0
        level[RISK] = math.nan
    own[LOTS] += lots
    own[ENTRY_BOUGHT] += lots
    own[COST] += money
    own[FEES] += fee
    own[BOUGHT] += lots
    own[BOUGHT_COST] += money
    own[FILLED_MS] = ms
    why = WHY_ALLOCATION if terms.strategy == ALLOCATION else WHY_BREAKOUT
    note_fill(book, c, ms, 1, cents, lots, fee, why, level[ENTRY_A], level[ENTRY_B])


def sell(terms: Terms, book: Book, c: int, cents: int, lots: int, ms: int, why: int, a: float, b: float) -> None:
    """Take a sale out of the position; a taker's always."""
    own = book.coin[c]
    money = cents * lots
    fee = min(fee_of(money, terms.taker_rate), money // (MONEY_UNITS // 100_000_000))
    book.total[CASH] += money - fee * (MONEY_UNITS // 100_000_000)
    own[FEES] += fee
    own[SOLD] += lots
    own[PROCEEDS] += money
    own[FILLED_MS] = ms
    if lots == own[LOTS]:
        own[COST] = 0
    else:
        own[COST] -= int(own[COST] * (lots / own[LOTS]))
    own[LOTS] -= lots
    note_fill(book, c, ms, 0, cents, lots, fee, why, a, b)
    if own[LOTS] == 0:
        close_trade(book, c)


def close_trade(book: Book, c: int) -> None:
    """Note what a round trip has brought; the time is that of its last fill."""
    own, total = book.coin[c], book.total
    closed_ms = own[FILLED_MS]
    net = own[PROCEEDS] - own[BOUGHT_COST] - own[FEES] * (MONEY_UNITS // 100_000_000)
    risk = book.level[c][RISK]
    own[LOTS] = 0
    own[LAST_EXIT_MS] = closed_ms
    if total[CLOSED] < len(book.net):
        book.net[total[CLOSED]] = net
    else:
        total[BROKEN] = 1
    total[CLOSED] += 1
    total[CHANGED] = 1
    if net > 0:
        total[WINS] += 1
    if own[SOLD] > 0:
        if closed_ms >= total[STREAK_FROM_MS]:
            if net >= 0:
                total[STREAK] = 0
            elif math.isnan(risk) or net / MONEY_UNITS + LEAST_LOSS_R * risk <= 0.0:
                total[STREAK] += 1
        if not math.isnan(risk):
            place = total[RESULTS]
            if place < len(book.result):
                book.result[place] = net / MONEY_UNITS / risk
                book.result_ms[place] = closed_ms
                total[RESULTS] = place + 1
            else:
                total[BROKEN] = 1


def meet(terms: Terms, book: Book, c: int, first: int, low: int, at_ms: int) -> None:
    """Let what rests of a coin meet prices from ``first`` down to ``low``: stops, then entries."""
    own = book.coin[c]
    entry_rests = own[ORDER_LOTS] > 0 and low < own[ORDER_CENTS] * PRICE_PER_CENT
    if own[STOP_LOTS] > 0 and low <= own[STOP_CENTS] * PRICE_PER_CENT:
        lots, at = own[STOP_LOTS], min(own[STOP_CENTS] * PRICE_PER_CENT, first)
        own[STOP_LOTS] = 0
        sell(terms, book, c, price_below(at, terms.half_spread, terms.tick_cents[c]), lots, at_ms, WHY_STOP, 0.0, 0.0)
    if entry_rests:
        lots = own[ORDER_LOTS]
        own[ORDER_LOTS] = 0
        buy(terms, book, c, own[ORDER_CENTS], lots, terms.maker_rate, at_ms)


def write_off(terms: Terms, book: Book, c: int, now_ms: int) -> None:
    """Book what no order can ever sell as the loss that it is."""
    own = book.coin[c]
    if own[STOP_LOTS] > 0 or own[ORDER_LOTS] > 0 or own[LOTS] >= lots_needed(terms, c, own[BID]):
        return
    average = own[COST] / own[LOTS]  # cents
    if own[LOTS] >= max(terms.min_lots[c], terms.min_cost_money / average):
        return
    if own[SOLD] > 0 or now_ms - own[FILLED_MS] >= MS_PER_DAY:
        close_trade(book, c)


# -- protection


def is_dust(terms: Terms, book: Book, c: int) -> bool:
    """Whether the venue takes no order for what is held."""
    own = book.coin[c]
    return own[LOTS] < lots_needed(terms, c, own[BID])


def settle_stop(terms: Terms, book: Book, c: int, entering: bool) -> None:
    """Say where the stop of a position belongs. An addition moves it once it has ended, never down."""
    own, level = book.coin[c], book.level[c]
    distance = level[ENTRY_STOP]
    if own[PLANNED_STOP] == 0 or (not math.isnan(distance) and not entering):
        frac = FALLBACK_STOP if math.isnan(distance) else distance
        average = own[COST] / own[LOTS] / CENT_UNITS
        cents = cents_down(average * (1.0 - frac), terms.tick_cents[c])
        if own[PLANNED_STOP] == 0:
            own[FIRST_STOP] = cents
            own[PLANNED_STOP] = cents
        else:
            own[PLANNED_STOP] = max(own[PLANNED_STOP], cents)
    if not entering:
        level[ENTRY_STOP] = math.nan


def want_sold(book: Book, c: int, keep: int, why: int, a: float, b: float) -> None:
    """Plan a sale, unless one is planned that leaves no more, or trading is halted."""
    own = book.coin[c]
    if book.total[HALTED] == 1 or (own[SALE] == 1 and own[KEEP] <= keep):
        return
    plan_sale(book, c, keep, why, a, b)
    own[SALE_BY_STOP] = 0


def plan_sale(book: Book, c: int, keep: int, why: int, a: float, b: float) -> None:
    """Plan to sell down to ``keep`` lots."""
    own = book.coin[c]
    if own[SALE] == 0:
        own[SALE_PLACE] = book.total[PLACES]
        book.total[PLACES] += 1
    own[SALE] = 1
    own[KEEP] = keep
    own[SALE_WHY] = why
    own[SALE_BY_STOP] = 0
    book.level[c][SALE_A] = a
    book.level[c][SALE_B] = b


def hold_stop_of(book: Book, c: int, lots: int, cents: int) -> None:
    """Let a stop of so many lots rest at this price, in the place of any other."""
    own = book.coin[c]
    if own[STOP_LOTS] != lots or own[STOP_CENTS] != cents:
        own[STOP_LOTS] = lots
        own[STOP_CENTS] = cents
        book.total[ORDERS] += 1


def forget(book: Book, c: int) -> None:
    """End the stop and the plans of a position that is gone."""
    own = book.coin[c]
    own[STOP_LOTS] = 0
    own[PLANNED_STOP] = 0
    own[SALE] = 0
    own[TARGETS] = 0


def protect(terms: Terms, book: Book, c: int, now_ms: int) -> None:
    """Bring stop and sales of a position to what they should be, as ``engine/protect`` does."""
    own = book.coin[c]
    if own[LOTS] == 0:
        forget(book, c)
        return
    if is_dust(terms, book, c):
        own[SALE] = 0
        own[TARGETS] = 0
        return
    entering = own[ENTRY_LOTS] > 0
    settle_stop(terms, book, c, entering)
    wanted = own[PLANNED_STOP]
    rests = own[STOP_LOTS] == own[LOTS] and own[STOP_CENTS] == wanted
    if wanted >= own[BID] and not rests:
        if own[SALE] == 0 or own[KEEP] > 0:
            plan_sale(book, c, 0, WHY_AT_STOP, float(wanted), 0.0)
        own[SALE_BY_STOP] = 1
    if own[SALE] == 1:
        carry_out(terms, book, c, now_ms)
        if own[LOTS] == 0:
            forget(book, c)
            return
    if wanted >= own[BID] or (own[STOP_LOTS] == own[LOTS] and own[STOP_CENTS] == wanted):
        return
    if own[LOTS] < lots_needed(terms, c, wanted):
        if not entering:  # what no stop can protect is not kept
            plan_sale(book, c, 0, WHY_TOO_SMALL, 0.0, 0.0)
        return
    hold_stop_of(book, c, own[LOTS], wanted)


def carry_out(terms: Terms, book: Book, c: int, now_ms: int) -> None:
    """Sell down to what the plan keeps, at the bid; the rest keeps a stop, where one can protect it."""
    own, level = book.coin[c], book.level[c]
    lots, stop = own[LOTS] - own[KEEP], own[PLANNED_STOP]
    own[SALE] = 0
    if lots < lots_needed(terms, c, own[BID]):
        return
    rest = own[LOTS] - lots
    if rest < lots_needed(terms, c, stop) or stop >= own[BID]:
        own[STOP_LOTS] = 0
    else:
        hold_stop_of(book, c, rest, stop)
    book.total[ORDERS] += 1
    sell(terms, book, c, own[BID], lots, now_ms, own[SALE_WHY], level[SALE_A], level[SALE_B])
