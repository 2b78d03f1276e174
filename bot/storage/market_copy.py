"""The last good copy of a venue's market rules, so that exits work while it does not tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.domain.errors import StateFileError
from bot.storage.state_file import JsonStateFile


class MarketCopy:
    """One JSON file per account: market structures of the traded coins, and when the venue told them."""

    def __init__(self, file: JsonStateFile) -> None:
        self._file = file

    def save(self, markets: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """Replace the copy; one that cannot be written is no reason to stop."""
        try:
            self._file.save({"at": now.isoformat(), "markets": list(markets)})
        except StateFileError:
            return  # the venue has just answered: the copy is a convenience for later

    def load(self) -> tuple[list[dict[str, Any]], str]:
        """The markets and the time of the copy; ([], '') where there is none."""
        stored = self._file.load()
        markets, at = stored.get("markets"), stored.get("at")
        if not isinstance(markets, list) or not isinstance(at, str):
            return [], ""
        return [market for market in markets if isinstance(market, dict)], at
