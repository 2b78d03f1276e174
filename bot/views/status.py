"""The status of the account: one model for the command, the script, the running bot's screen and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from bot.domain.modes import TradingMode
from bot.domain.refusal import Refusal
from bot.domain.snapshot import SNAPSHOT_KEY, Snapshot
from bot.domain.tier import UNRANKED
from bot.scaling.ladder import SCALING_TIERS, tier_named
from bot.scaling.progress import progress_to_next
from bot.scaling.state import TierState
from bot.storage.ledger_reader import DayResult, LedgerReader
from bot.storage.lock import LockHolder
from bot.storage.modes import STATE_FILE_NAME, ledger_path
from bot.views.costs_text import why_not
from bot.views.findings import finding_document
from bot.views.folders import NothingRecordedError, Place, no_snapshot
from bot.views.refusals import explain, explain_refusal

DAYS_SHOWN = 7
REFUSALS_SHOWN = 3
REFUSALS_READ = 60
STATUS_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusModel:
    """Everything that a status shows."""

    snapshot: Snapshot
    tier_state: TierState
    """With the snapshot's equity and tier: the state file is written less often."""
    days: Sequence[DayResult]
    """Newest first."""
    refusals: Sequence[Refusal]
    """The last ones of different coins or codes, newest first."""
    refusal_counts: Mapping[str, int]
    holder: LockHolder | None
    """Who runs; None: nobody."""
    folder: Path
    written_at: datetime
    """When the snapshot was recorded, by the clock on the wall."""
    now: datetime
    """By the clock on the wall."""
    server_cost_usd_month: float

    @property
    def mode(self) -> TradingMode:
        """Whether orders are real."""
        return TradingMode(self.snapshot["trading_mode"])

    @property
    def has_own_time(self) -> bool:
        """Whether the account lives on a virtual clock."""
        return self.mode in (TradingMode.SIMULATED, TradingMode.REPLAY)

    @property
    def account_now(self) -> datetime:
        """The present in the account's own time."""
        return datetime.fromisoformat(self.snapshot["at"]) if self.has_own_time else self.now

    @property
    def last_cycle_age_s(self) -> float:
        """Real time since the last cycle that was recorded."""
        last = self.written_at if self.has_own_time else datetime.fromisoformat(self.snapshot["at"])
        return max(0.0, (self.now - last).total_seconds())

    @property
    def data_age_s(self) -> float | None:
        """Age of the oldest price now; the prices of a virtual clock do not age while it stands."""
        age_s = self.snapshot["data_age_s"]
        return age_s if age_s is None or self.has_own_time else age_s + self.last_cycle_age_s

    @property
    def server_cost_pct_year(self) -> float | None:
        """A year of the server as a share of equity; None where there is no equity."""
        equity = self.snapshot["equity_usd"]
        return self.server_cost_usd_month * 12 / equity * 100 if equity > 0 else None


def build_status(
    *,
    snapshot: Snapshot,
    tier_state: TierState,
    days: Sequence[DayResult],
    refusals: Sequence[Refusal],
    refusal_counts: Mapping[str, int],
    place: Place,
    server_cost_usd_month: Decimal,
    now: datetime,
) -> StatusModel:
    """Put together what has been read."""
    equity = snapshot["equity_usd"]
    tier_state = replace(
        tier_state,
        current_tier=tier_state.current_tier if snapshot["tier"] == UNRANKED.name else snapshot["tier"],
        last_equity=equity if math.isfinite(equity) and equity >= 0 else tier_state.last_equity,
    )
    return StatusModel(
        snapshot=snapshot,
        tier_state=tier_state,
        days=days,
        refusals=refusals,
        refusal_counts=refusal_counts,
        holder=place.holder,
        folder=place.folder,
        written_at=place.written_at,
        now=now,
        server_cost_usd_month=float(server_cost_usd_month),
    )


def read_status(place: Place, *, server_cost_usd_month: Decimal, now: datetime) -> StatusModel:
    """Read the status of a mode folder.

    Raises NothingRecordedError before the first finished cycle and where another version recorded the last
    one, LedgerError where the ledger cannot be read.
    """
    with LedgerReader(ledger_path(place.folder)) as reader:
        snapshot = reader.snapshot()
        if snapshot is None:
            raise older_snapshot(place) if reader.value(SNAPSHOT_KEY) is not None else no_snapshot(place)
        return build_status(
            snapshot=snapshot,
            tier_state=read_tier_state(place.folder),
            days=reader.pnl_by_day(DAYS_SHOWN),
            refusals=newest_of_each(reader.refusals(REFUSALS_READ)),
            refusal_counts=reader.refusal_counts(),
            place=place,
            server_cost_usd_month=server_cost_usd_month,
            now=now,
        )


def older_snapshot(place: Place) -> NothingRecordedError:
    """Say that the recorded account is there, but not in the form that this version shows."""
    how = "the bot that runs is of that version: restart it" if place.holder is not None else "`bash scripts/run` does"
    return NothingRecordedError(
        f"the last cycle in {place.folder.resolve()} was recorded by another version of this program; the next cycle "
        f"of this one renews it ({how}). Nothing is lost: `python bot.py trades` and `refusals` show what they did"
    )


def newest_of_each(refusals: Sequence[Refusal]) -> list[Refusal]:
    """Return the newest of each (coin, code), at most three: the same one every day says nothing new."""
    newest: dict[tuple[str, str], Refusal] = {}
    for refusal in refusals:
        newest.setdefault((refusal.symbol, refusal.code.value), refusal)
    return list(newest.values())[:REFUSALS_SHOWN]


def read_tier_state(folder: Path) -> TierState:
    """Tier and history as the state file has them; a state without history where it cannot be used.

    A view never repairs: setting a broken file aside is the bot's business.
    """
    try:
        found = json.loads((folder / STATE_FILE_NAME).read_text(encoding="utf-8"))
        return TierState.from_json(found) if isinstance(found, dict) else TierState()
    except (OSError, ValueError, RecursionError):
        return TierState()


def status_document(model: StatusModel) -> dict[str, object]:
    """The object of ``status --json``: USD as numbers, percentages 0 to 100, times ISO 8601 UTC.

    ``mode, running, pid, folder, last_cycle_age_s, data_age_s``; ``tier``: name, progress to the next one and
    history; ``pnl_by_day`` newest first; ``refusal_counts`` by code; ``refusals``: the last ones in words;
    ``waiting``: for each coin what happened and what would change it; ``in_dollars``: for each coin on each
    venue why an order is not possible (its figures: ``snapshot.reach``); ``server_cost``; ``findings``: what does
    not agree between venues and ledger, in words; ``snapshot`` as the engine recorded it (``bot/domain/snapshot.py``).
    """
    tier = tier_named(model.tier_state.current_tier, SCALING_TIERS)
    progress = progress_to_next(model.tier_state, SCALING_TIERS)
    return {
        "schema_version": STATUS_SCHEMA_VERSION,
        "mode": model.mode.value,
        "running": model.holder is not None,
        "pid": model.holder.pid if model.holder is not None else None,
        "folder": str(model.folder.resolve()),
        "last_cycle_age_s": model.last_cycle_age_s,
        "data_age_s": model.data_age_s,
        "tier": {
            "name": model.tier_state.current_tier or UNRANKED.name,
            "benefits": tier.to_dict() if tier is not None else None,
            "progress": dict(progress) if progress is not None else None,
            "history": [change.to_dict() for change in model.tier_state.upgrade_history],
        },
        "pnl_by_day": [
            {
                "day": day.day.isoformat(),
                "pnl_usd": day.pnl_usd,
                "change_pct": day.change_pct,
                "equity_usd": day.equity,
                "fees_usd": float(day.fees_usd),
            }
            for day in model.days
        ],
        "refusal_counts": dict(model.refusal_counts),
        "refusals": [refusal_document(refusal) for refusal in model.refusals],
        "waiting": [
            {"symbol": coin["symbol"], "action": coin["action"], **explain(coin)._asdict()}
            for coin in model.snapshot["coins"]
        ],
        "in_dollars": [
            {"account": view["account"], "symbol": view["symbol"], "why_not": why_not(view)}
            for view in model.snapshot["reach"]
        ],
        "server_cost": {"usd_month": model.server_cost_usd_month, "pct_of_equity_year": model.server_cost_pct_year},
        "findings": [finding_document(finding) for finding in model.snapshot["findings"]],
        "snapshot": dict(model.snapshot),
    }


def refusal_document(refusal: Refusal) -> dict[str, object]:
    """One refusal with its words."""
    return {
        "at": refusal.at.isoformat(),
        "symbol": refusal.symbol,
        "account": refusal.account,
        "code": refusal.code.value,
        "limit": refusal.limit,
        "actual": refusal.actual,
        "unit": refusal.unit,
        "notional_usd": refusal.notional_usd,
        **explain_refusal(refusal)._asdict(),
    }


def json_text(value: object) -> str:
    """JSON for other programs: what is not finite becomes null, as JSON has no word for it."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
