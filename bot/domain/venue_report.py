"""What a venue told about one account, for people: rights, clock, cash, fees, stops, markets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

VENUE_REPORTS_KEY = "venue_reports"
"""Under this key the running bot keeps what its venues told it: only one process may use a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueReport:
    """One account as its venue described it at a moment; decimal texts, times ISO 8601 UTC."""

    account: str
    at: str
    problem: str = ""
    """Why the venue does not answer; '' where it does."""
    clock_drift_s: float | None = None
    """This machine's clock less the venue's."""
    has_key: bool = False
    rights: tuple[str, ...] = ()
    """What the key may do, in the venue's words."""
    rights_problem: str = ""
    """Why the key may not be used, or is used with a warning; '' where all is well."""
    assets: Mapping[str, str] | None = None
    """Totals by the venue's own names (USD, USDC, USD.F, BTC); None where they are not known."""
    maker_pct: float | None = None
    taker_pct: float | None = None
    fee_origin: str = ""
    fee_is_fallback: bool = False
    stops_rest: bool | None = None
    """Whether protective stops rest on the venue; None: not probed."""
    stops_about: str = ""
    markets: tuple[str, ...] = ()
    markets_origin: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "rights": list(self.rights), "markets": list(self.markets)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> VenueReport:
        """Read back what ``to_json`` gave; names that are unknown here are left out."""
        known = {field.name for field in fields(cls)}
        kept: dict[str, Any] = {name: item for name, item in value.items() if name in known}
        for name in ("rights", "markets"):
            kept[name] = tuple(kept.get(name, ()))
        return cls(**kept)
