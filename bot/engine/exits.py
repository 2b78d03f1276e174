"""The exits of breakout trades: what each should have sold by now, and where its stop belongs.

Works from what should be to what is, like the protection that carries it out: the only memory is how
many targets a position has reached, and that is durable before an order goes out. A crash anywhere
therefore repeats nothing and loses nothing. Positions that were opened under other rules are led to
their end by these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bot.books.book import Book
from bot.books.positions import Position
from bot.decide import exits
from bot.decide.costs import Rules, break_even_price
from bot.domain.instrument import Instrument
from bot.domain.market import MS_PER_DAY, coin_symbol
from bot.domain.modes import Strategy
from bot.engine.account import Account, PositionKey, key_text
from bot.engine.config import EngineConfig
from bot.engine.desk import OrderDesk
from bot.engine.history import History
from bot.engine.protect import is_entering, settled_stop
from bot.engine.sizing import RULE_CODES
from bot.engine.state import ExitPlan, StateKeeper, StopPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trade:
    """An open position as its exits see it; prices in quote units."""

    name: str
    position: Position
    instrument: Instrument
    rules: Rules
    stop: StopPlan
    bid: Decimal
    entry: float
    first_stop: float
    parts: int


class ExitPlanner:
    """Plans the sales and raises the stops of every position, each cycle, before the protection."""

    def __init__(
        self,
        *,
        config: EngineConfig,
        accounts: Mapping[str, Account],
        book: Book,
        desk: OrderDesk,
        keeper: StateKeeper,
        histories: Mapping[str, History],
    ) -> None:
        self._strategy = config.strategy
        self._rule = RULE_CODES[config.exit_rule]
        self._accounts = accounts
        self._book = book
        self._desk = desk
        self._keeper = keeper
        self._state = keeper.state
        self._histories = histories

    def plan_all(self, now: datetime) -> list[PositionKey]:
        """Bring exit plans and stops up to date; they are durable when this returns.

        Returns the positions whose stop has risen. In a halt nothing is sold and no target counts as
        reached; stops still rise.
        """
        if self._strategy is not Strategy.BREAKOUT:
            return []
        raised = []
        for key in sorted(self._book.positions):
            trade = self._trade(key)
            if trade is None:
                continue
            self._count_targets(trade)
            if self._raise_stop(trade):
                raised.append(key)
            self._plan_sale(trade, now)
        self._keeper.save()
        return raised

    def _trade(self, key: PositionKey) -> _Trade | None:
        """Look at a position; None where nothing can be sold now, or its entry may still make it larger."""
        account, position = self._accounts.get(key[0]), self._book.positions[key]
        if account is None or not account.fresh or is_entering(self._state, self._desk, key):
            return None
        instrument, ticker = account.instruments.get(key[1]), account.tickers.get(key[1])
        if instrument is None or ticker is None or account.is_dust(key[1], position.quantity):
            return None
        name, rules = key_text(*key), account.rules[key[1]]
        stop = settled_stop(self._state, instrument, name, position.average_price, entering=False)
        entry, first_stop = float(position.average_price), float(stop.first_stop_price)
        bought = instrument.lots_in(position.bought_quantity)
        return _Trade(
            name=name,
            position=position,
            instrument=instrument,
            rules=rules,
            stop=stop,
            bid=ticker.bid,
            entry=entry,
            first_stop=first_stop,
            parts=max(1, exits.exit_parts(bought, entry, 1.0 - first_stop / entry, rules)),
        )

    def _count_targets(self, trade: _Trade) -> None:
        if self._state.halted_by:
            return
        reached = exits.targets_reached(self._rule, trade.parts, trade.entry, trade.first_stop, float(trade.bid))
        if reached > self._state.targets_reached.get(trade.name, 0):
            self._state.targets_reached[trade.name] = reached

    def _raise_stop(self, trade: _Trade) -> bool:
        history = self._histories.get(coin_symbol(trade.position.symbol))
        highest, atr = trade.entry, math.nan
        if history is not None:
            entry_ms = int(trade.position.opened_at.timestamp() * 1000)
            highest = exits.highest_since(
                history.open_ms, history.highs, history.closes, len(history), MS_PER_DAY, entry_ms, trade.entry
            )
            atr = history.atr()
        stop = float(trade.stop.stop_price)
        moved = exits.moved_stop(
            self._rule,
            trade.parts,
            self._state.targets_reached.get(trade.name, 0),
            stop,
            break_even_price(trade.entry, trade.rules.fee_in, trade.rules.fee_out),
            highest,
            atr,
            float(trade.bid),
        )
        if math.isnan(moved):
            self._want(trade, Decimal(0), "the price is below where its stop belongs by now")
        elif moved > stop:
            trade.stop.stop_price = str(trade.instrument.price_up(Decimal(repr(moved))))
            return True
        return False

    def _plan_sale(self, trade: _Trade, now: datetime) -> None:
        if exits.time_is_over((now - trade.position.opened_at) / timedelta(days=1)):
            self._want(trade, Decimal(0), f"{exits.MAX_DAYS:.0f} days are over")
            return
        reached = self._state.targets_reached.get(trade.name, 0)
        count = min(reached, exits.target_count(self._rule, trade.parts))
        if count == 0:
            return
        instrument, bought = trade.instrument, trade.instrument.lots_in(trade.position.bought_quantity)
        keep = instrument.quantity_of(exits.lots_to_keep(self._rule, trade.parts, bought, reached))
        if keep < instrument.minimum_quantity_at(Decimal(trade.stop.stop_price)):
            keep = Decimal(0)  # no stop could protect the rest
        if trade.position.quantity - keep < instrument.minimum_quantity_at(trade.bid):
            return  # sold already, or but for so little that it waits for the next target
        multiple = exits.target_multiple(self._rule, trade.parts, count - 1)
        of = exits.target_count(self._rule, trade.parts)
        self._want(trade, keep, f"target {count} of {of} ({multiple:g} R)")

    def _want(self, trade: _Trade, keep: Decimal, reason: str) -> None:
        """Plan a sale, unless one is planned that leaves no more."""
        if self._state.halted_by:
            return
        plan = self._state.exits.get(trade.name)
        if plan is None or Decimal(plan.keep) > keep:
            self._state.exits[trade.name] = ExitPlan(str(keep), reason)
