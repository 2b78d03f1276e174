"""Findings: what a venue holds and what the ledger says do not agree, each with a defined answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FindingCode(StrEnum):
    """What does not agree."""

    FOREIGN_ORDER = "foreign_order"
    """An order rests that this ledger never sent. Shown, never touched."""
    FOREIGN_COINS = "foreign_coins"
    """Coins that the bot did not buy. Shown, never counted, never touched."""
    COINS_MISSING = "coins_missing"
    """The venue holds less of a coin than the books: nothing is bought until they are back or
    ``resume --book-out`` accepts it."""
    LEDGER_TOO_OLD = "ledger_too_old"
    """The venue knows orders of this ledger that are not in it (an old backup): they are taken into it again, and
    nothing is bought until ``resume``."""
    SECOND_BOT = "second_bot"
    """Orders appear that only this ledger can have sent, and has not: a copy of its folder is at work. Never touched;
    nothing is bought until ``resume``."""
    LEDGER_NEW = "ledger_new"
    """The ledger is new while the account shows that a bot ran before: nothing is bought until ``resume``."""
    FILLS_LATE = "fills_late"
    """The venue says that an order was filled and does not list its fills: its coin waits for them."""
    STOP_REFUSED = "stop_refused"
    """The venue rejected the stop of a position: the bot watches the price and asks again each cycle."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """Nobody knows yet what became of an order: its coin waits, its cash counts as spent."""


BLOCKING = frozenset(
    {FindingCode.COINS_MISSING, FindingCode.LEDGER_TOO_OLD, FindingCode.SECOND_BOT, FindingCode.LEDGER_NEW}
)
"""While one of these stands nothing is bought anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement, as long as it stands."""

    code: FindingCode
    account: str
    about: str
    """What it is about: a symbol, an asset or an order id; with code and account it names the finding."""
    detail: str
    """Quantities and prices in plain words."""
    since: datetime

    @property
    def name(self) -> str:
        """Tell two findings apart."""
        return f"{self.code}|{self.account}|{self.about}"
