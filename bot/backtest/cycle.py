"""The run: the eight steps of ``engine/engine`` at every bar, and what is noted of each day.

Where nothing is held, ordered or decided, a step is only a mark of the hour.
"""

import math

from bot.backtest.entries import decide_coin, drop_plan, money_held, send, send_again, tend
from bot.backtest.guard import check_tier, guard, note_cycle
from bot.backtest.layout import (
    AGAIN_LOTS,
    BAR,
    BID,
    BOUGHT,
    BREAKOUT,
    CASH,
    CENT_UNITS,
    CHANGED,
    COST,
    DECIDED,
    ENTRY_BOUGHT,
    ENTRY_LOTS,
    ENTRY_MS,
    ENTRY_PLACE,
    ENTRY_STOP,
    EQUITY,
    FIRST_STOP,
    FREE,
    HALF_NEXT,
    HALTED,
    IS_NEW,
    IS_OLDER,
    LAST,
    LAST_MS,
    LOTS,
    MONEY_UNITS,
    MS_PER_DAY,
    OPENED_MS,
    ORDER_LOTS,
    PLACES,
    PLAN_STOP_FRAC,
    PLANNED_STOP,
    RANKED,
    REFUSED_BITS,
    RISK,
    SALE,
    SALE_BY_STOP,
    SALE_PLACE,
    SPENT,
    STOP_LOTS,
    STREAK_FROM_MS,
    TARGETS,
    WHY_BELOW_STOP,
    WHY_FLATTEN,
    WHY_TARGET,
    WHY_TIME,
    Book,
    Market,
    Signals,
    Terms,
)
from bot.backtest.orders import (
    cents_up,
    is_dust,
    lots_needed,
    meet,
    plan_sale,
    price_below,
    protect,
    settle_stop,
    want_sold,
    write_off,
)
from bot.backtest.sizing import equity_money, rules_of
from bot.decide.costs import break_even_price
from bot.decide.exits import (
    exit_parts,
    highest_since,
    lots_to_keep,
    moved_stop,
    target_count,
    targets_reached,
    time_is_over,
)

# -- observe


def observe(market: Market, terms: Terms, book: Book, step: int) -> None:
    """Let the bar before this step and the open of this one happen; learn the prices."""
    width = market.steps + 1
    before_ms = market.start_ms + (step - 1) * market.bar_ms
    for place in range(market.coins):
        c = market.by_name[place]
        own = book.coin[c]
        if step == 0:
            if market.before[c] > 0:
                learn_price(terms, book, c, market.before[c], market.before_ms[c])
            continue
        at = c * width + step - 1
        opened = market.opens[at]
        if opened == 0:
            continue
        gap = market.opens[at + 1] == 0
        if own[STOP_LOTS] > 0 or own[ORDER_LOTS] > 0:
            ended_ms = before_ms + market.bar_ms
            meet(terms, book, c, opened, opened, ended_ms)
            meet(terms, book, c, opened, market.lows[at], ended_ms)
        if gap:
            learn_price(terms, book, c, market.closes[at], before_ms + market.bar_ms)
    for c in range(market.coins):
        price = market.opens[c * width + step]
        if price > 0:
            opened_ms = before_ms + market.bar_ms
            learn_price(terms, book, c, price, opened_ms)
            meet(terms, book, c, price, price, opened_ms)


def learn_price(terms: Terms, book: Book, c: int, price: int, at_ms: int) -> None:
    """Take a price and the bid that goes with it."""
    own = book.coin[c]
    own[LAST] = price
    own[LAST_MS] = at_ms
    own[BID] = price_below(price, terms.half_spread, terms.tick_cents[c])


def settle(market: Market, terms: Terms, book: Book, now_ms: int) -> None:
    """Note what new positions risk, end plans that have bought what they wanted, write off dust."""
    for c in range(market.coins):
        own, level = book.coin[c], book.level[c]
        if own[LOTS] > 0:
            if own[ENTRY_LOTS] > 0 and own[OPENED_MS] >= own[ENTRY_MS]:
                level[RISK] = own[COST] / MONEY_UNITS * level[PLAN_STOP_FRAC]
            elif math.isnan(level[RISK]) and own[ENTRY_LOTS] == 0:
                note_risk(book, c)
        left = own[ENTRY_LOTS] - own[ENTRY_BOUGHT]
        if own[ENTRY_LOTS] > 0 and own[ORDER_LOTS] == 0 and left < lots_needed(terms, c, own[BID]):
            own[ENTRY_LOTS] = 0
        if own[LOTS] > 0:
            if book.total[STREAK_FROM_MS] > 0 and own[OPENED_MS] >= book.total[STREAK_FROM_MS]:
                book.total[HALF_NEXT] = 0  # the first re-entry has been made
            write_off(terms, book, c, now_ms)


def note_risk(book: Book, c: int) -> None:
    """Note R where no plan tells it: by the stop that was placed."""
    own, level = book.coin[c], book.level[c]
    if not math.isnan(level[ENTRY_STOP]):
        level[RISK] = own[COST] / MONEY_UNITS * level[ENTRY_STOP]
    elif own[PLANNED_STOP] > 0:
        risk = own[COST] / MONEY_UNITS - own[LOTS] * own[FIRST_STOP] / MONEY_UNITS
        if risk > 0.0:
            level[RISK] = risk


# -- exits of breakout trades


def plan_exits(market: Market, signals: Signals, terms: Terms, book: Book, now_ms: int) -> None:
    """Bring sales and stops of breakout trades up to date, as ``engine/exits`` does."""
    for place in range(market.coins):
        c = market.by_name[place]
        if book.coin[c][LOTS] > 0 and book.coin[c][ENTRY_LOTS] == 0 and not is_dust(terms, book, c):
            plan_exit_of(signals, terms, book, c, now_ms)


def plan_exit_of(signals: Signals, terms: Terms, book: Book, c: int, now_ms: int) -> None:
    """Count targets, raise the stop and plan the sale of one trade."""
    own = book.coin[c]
    rules = rules_of(terms, c, terms.maker)
    settle_stop(terms, book, c, False)
    entry = own[COST] / own[LOTS] / CENT_UNITS
    first_stop = own[FIRST_STOP] / CENT_UNITS
    bid = own[BID] / CENT_UNITS
    parts = max(1, exit_parts(own[BOUGHT], entry, 1.0 - first_stop / entry, rules))
    if book.total[HALTED] == 0:
        own[TARGETS] = max(own[TARGETS], targets_reached(terms.exit_rule, parts, entry, first_stop, bid))
    bar = own[BAR]
    highest, atr = entry, math.nan
    if bar >= 0:
        highest = highest_since(
            signals.open_ms[c], signals.highs[c], signals.closes[c], bar + 1, MS_PER_DAY, own[OPENED_MS], entry
        )
        atr = signals.atr[c][bar]
    stop = own[PLANNED_STOP] / CENT_UNITS
    break_even = break_even_price(entry, terms.maker, terms.taker)
    moved = moved_stop(terms.exit_rule, parts, own[TARGETS], stop, break_even, highest, atr, bid)
    if math.isnan(moved):
        want_sold(book, c, 0, WHY_BELOW_STOP, 0.0, 0.0)
    elif moved > stop:
        own[PLANNED_STOP] = cents_up(moved, terms.tick_cents[c])
    if time_is_over((now_ms - own[OPENED_MS]) / MS_PER_DAY):
        want_sold(book, c, 0, WHY_TIME, 0.0, 0.0)
        return
    of = target_count(terms.exit_rule, parts)
    count = min(own[TARGETS], of)
    if count == 0:
        return
    keep = lots_to_keep(terms.exit_rule, parts, own[BOUGHT], own[TARGETS])
    if keep < lots_needed(terms, c, own[PLANNED_STOP]):
        keep = 0  # no stop could protect the rest
    if own[LOTS] - keep >= lots_needed(terms, c, own[BID]):
        want_sold(book, c, keep, WHY_TARGET, float(count), float(of))


# -- the cycle


def run_cycle(market: Market, signals: Signals, terms: Terms, book: Book, step: int, now_ms: int, decides: int) -> None:
    """Run one cycle of the engine."""
    total, rate = book.total, book.rate
    total[CHANGED] = 0
    observe(market, terms, book, step)
    held = 0
    for c in range(market.coins):
        held += money_held(terms, book, c)
    rate[FREE] = (total[CASH] - held) / MONEY_UNITS
    rate[SPENT] = 0.0
    settle(market, terms, book, now_ms)
    money = equity_money(market, book)
    guard(terms, total, rate, book.mark_ms, book.mark, book.guard, money, now_ms)
    if total[HALTED] == 1:
        hold_back(market, terms, book)
    tend(market, terms, book, now_ms)
    if terms.strategy == BREAKOUT:
        plan_exits(market, signals, terms, book, now_ms)
    for place in range(market.coins):
        protect(terms, book, market.by_name[place], now_ms)
    check_tier(terms, total, rate, book.tier_change, rate[EQUITY], money, now_ms)
    if decides == 1:
        decide_all(market, signals, terms, book, now_ms)
        if terms.strategy == BREAKOUT:
            plan_exits(market, signals, terms, book, now_ms)
            for place in range(market.coins):  # stops that have risen with the new bar
                protect(terms, book, market.by_name[place], now_ms)
    sell_all(market, terms, book, now_ms)
    send_all(market, signals, terms, book, now_ms)
    if total[CHANGED] == 1:
        money = equity_money(market, book)
        rate[EQUITY] = money / MONEY_UNITS
    note_cycle(total, rate, book.day_equity, money, now_ms)


def hold_back(market: Market, terms: Terms, book: Book) -> None:
    """Sell nothing that waits in a halt, or everything where the settings ask for that."""
    for c in range(market.coins):
        own = book.coin[c]
        if terms.halt_flattens == 1:
            if own[LOTS] > 0:
                plan_sale(book, c, 0, WHY_FLATTEN, 0.0, 0.0)
        elif own[SALE_BY_STOP] == 0:
            own[SALE] = 0


def sell_all(market: Market, terms: Terms, book: Book, now_ms: int) -> None:
    """Carry out the planned sales, in the order in which they were planned; what one of them causes waits."""
    done, end = -1, book.total[PLACES]
    for _ in range(market.coins):
        c = first_of(market, book, SALE, SALE_PLACE, done)
        if c < 0 or book.coin[c][SALE_PLACE] >= end:
            break
        done = book.coin[c][SALE_PLACE]
        protect(terms, book, c, now_ms)


def decide_all(market: Market, signals: Signals, terms: Terms, book: Book, now_ms: int) -> None:
    """Decide every coin whose newest closed bar has not been decided, the highest score first."""
    newest_ms = (now_ms - int(terms.decision_delay_s * 1000.0)) // MS_PER_DAY * MS_PER_DAY - MS_PER_DAY
    for c in range(market.coins):
        own = book.coin[c]
        while own[BAR] + 1 < signals.bars[c] and signals.open_ms[c][own[BAR] + 1] <= newest_ms:
            own[BAR] += 1
            own[REFUSED_BITS] = 0
        own[RANKED] = 0 if own[BAR] > own[DECIDED] and signals.open_ms[c][own[BAR]] >= newest_ms else 1
    equity = equity_money(market, book) / MONEY_UNITS
    for _ in range(market.coins):
        c = best_unranked(market, signals, book)
        if c < 0:
            break
        own = book.coin[c]
        own[RANKED] = 1
        own[IS_OLDER] = 1 if own[AGAIN_LOTS] > 0 else 0
        decide_coin(market, signals, terms, book, c, equity, now_ms)
        own[DECIDED] = own[BAR]
    for c in range(market.coins):
        book.coin[c][RANKED] = 0


def best_unranked(market: Market, signals: Signals, book: Book) -> int:
    """Return the coin with the highest score that waits for its decision; -1 without one."""
    best, best_score = -1, -1.0
    for c in range(market.coins):
        own = book.coin[c]
        if own[RANKED] == 0:
            score = signals.score[c][own[BAR]]
            score = 0.0 if math.isnan(score) else score
            if score > best_score:
                best, best_score = c, score
    return best


def send_all(market: Market, signals: Signals, terms: Terms, book: Book, now_ms: int) -> None:
    """Send what was decided, then again what is left of earlier plans, each in the order of the plans."""
    for c in range(market.coins):
        own = book.coin[c]
        if own[IS_OLDER] == 1:
            own[IS_OLDER] = 0
            if own[IS_NEW] == 0:
                drop_plan(book, c)
    for _ in range(market.coins):
        c = first_of(market, book, IS_NEW, ENTRY_PLACE, -1)
        if c < 0:
            break
        own = book.coin[c]
        own[IS_NEW] = 0
        send(market, terms, book, c, own[ENTRY_LOTS], own[BID], False, now_ms)
        protect(terms, book, c, now_ms)
    if first_of(market, book, AGAIN_LOTS, ENTRY_PLACE, -1) < 0:
        return
    equity = equity_money(market, book) / MONEY_UNITS
    for _ in range(market.coins):
        c = first_of(market, book, AGAIN_LOTS, ENTRY_PLACE, -1)
        if c < 0:
            break
        send_again(market, signals, terms, book, c, equity, now_ms)
        protect(terms, book, c, now_ms)


def first_of(market: Market, book: Book, place: int, number: int, after: int) -> int:
    """Return the coin with ``place`` above 0 whose ``number`` is the lowest above ``after``; -1 without one."""
    best = -1
    for c in range(market.coins):
        own = book.coin[c]
        if own[place] > 0 and own[number] > after and (best < 0 or own[number] < book.coin[best][number]):
            best = c
    return best
