"""What an account has been doing: its money by venue, its round trips, its fees and what it can reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.books.positions import MOVED
from bot.domain.modes import TradingMode
from bot.domain.snapshot import SNAPSHOT_KEY, ReachView
from bot.storage.ledger_reader import LedgerReader
from bot.storage.modes import ledger_path
from bot.views.folders import Place, no_snapshot
from bot.views.recorded import recorded_book
from bot.views.status import older_snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueActivity:
    """One venue; USD, percents 0 to 100."""

    account: str
    worth: float
    round_trips: int
    """Begun since the start, those under way included."""
    mean_usd: float
    """What one of them had cost, without fees; 0 without any."""
    maker_pct: float
    taker_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The account at its last cycle; USD."""

    mode: TradingMode
    strategy: str
    equity: float
    days: float
    """Of the record."""
    venues: Sequence[VenueActivity]
    reach: Sequence[ReachView]


def read_activity(place: Place) -> Activity:
    """Read a mode folder.

    Raises NothingRecordedError before the first finished cycle of this version, LedgerError where the ledger cannot
    be read.
    """
    with LedgerReader(ledger_path(place.folder)) as reader:
        snapshot, points = reader.snapshot(), reader.day_ends()
        if snapshot is None or not points:
            raise older_snapshot(place) if reader.value(SNAPSHOT_KEY) is not None else no_snapshot(place)
        book = recorded_book(reader)
        starts = [points[0].at, *(flow.at for flow in reader.flows()[:1])]
    costs: dict[str, list[float]] = {}
    for trade in book.trades:
        if trade.last_purpose != MOVED:
            costs.setdefault(trade.account, []).append(float(trade.bought_cost))
    for position in book.positions.values():
        costs.setdefault(position.account, []).append(float(position.bought_cost))
    return Activity(
        mode=place.mode,
        strategy=snapshot["strategy"],
        equity=snapshot["equity_usd"],
        days=(points[-1].at - min(starts)) / timedelta(days=1),
        venues=[
            VenueActivity(
                account=venue["account"],
                worth=venue["equity_usd"],
                round_trips=len(costs.get(venue["account"], ())),
                mean_usd=sum(paid) / len(paid) if (paid := costs.get(venue["account"], [])) else 0.0,
                maker_pct=venue["maker_pct"],
                taker_pct=venue["taker_pct"],
            )
            for venue in snapshot["venues"]
        ],
        reach=snapshot["reach"],
    )
