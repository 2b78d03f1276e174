"""A venue in a storm: it fails, rejects, and tells the checker what it is asked for."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from engine_rig import RigVenue

from bot.domain.account import FeeSchedule
from bot.domain.errors import VenueError
from bot.domain.orders import Order, Side
from bot.ports import Outcome, Rejected

if TYPE_CHECKING:
    from storm_checks import Checker

ASKED_IN_SETTLING = frozenset(
    {"instruments", "fees", "balances", "tickers", "fills_since", "open_orders", "find_order"}
)


class Violation(NamedTuple):
    """Something that must not be."""

    rule: str
    at: datetime
    where: str
    text: str


class StormVenue(RigVenue):
    """Tells the checker what is asked and sent, and can reject."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.rejects: set[Side] = set()
        self.would_take = 0
        """So many post-only orders find that the price has come to them."""
        self.failures: set[str] = set()
        """Methods that have failed in this cycle."""
        self.rejected = 0
        self.told_fees: FeeSchedule = self.core.fees
        self.told_bids: dict[str, Decimal] = {}
        self.checker: Checker | None = None

    @property
    def silent(self) -> bool:
        return bool(self.failures & ASKED_IN_SETTLING)

    def _check(self, method: str) -> None:
        if method in self.down:
            self.failures.add(method)
        super()._check(method)

    def fees(self) -> FeeSchedule:
        self.told_fees = super().fees()
        return self.told_fees

    def tickers(self) -> Any:
        told = super().tickers()
        self.told_bids = {symbol: ticker.bid for symbol, ticker in told.items()}
        return told

    def submit(self, order: Order) -> Outcome:
        assert self.checker is not None
        self.checker.on_order(order)
        if order.side in self.rejects and "submit" not in self.down:
            self.rejected += 1
            return Rejected(reason="the storm rejects it")
        if order.post_only and self.would_take and "submit" not in self.down:
            self.would_take -= 1
            self.rejected += 1
            return Rejected(reason="Post only order would take")
        try:
            outcome = super().submit(order)
        except VenueError:
            self.failures.add("submit")
            raise
        if isinstance(outcome, Rejected):
            self.rejected += 1
            if "insufficient funds" in outcome.reason and self.told_fees != self.core.fees:
                return outcome  # fees rose since the bot asked for them: nobody could know what the venue would hold
            self.checker.found("rejected by the venue", f"{order.purpose} {order.symbol}: {outcome.reason}")
        return outcome

    def cancel(self, order: Order) -> Outcome:
        try:
            return super().cancel(order)
        except VenueError:
            self.failures.add("cancel")
            raise
