"""The accounts of play money in one JSON file: what they begin with, and their last state."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot.domain.errors import StateFileError
from bot.storage.state_file import JsonStateFile


class AccountsFile:
    """What every kind of play money stores: the accounts, replaced as a whole."""

    def __init__(self, file: JsonStateFile) -> None:
        self._file = file
        self._document: dict[str, Any] = file.load()
        if self._document:
            self._check()

    def _check(self) -> None:
        """Raise StateFileError where what is stored has another form: money must not be guessed."""
        try:
            for name, amount in self._document["given"].items():
                if not Decimal(amount).is_finite() or Decimal(amount) < 0:
                    raise ValueError(f"given: {name}: {amount!r}")  # noqa: TRY301 - told like the others
            for name, state in self._document["accounts"].items():
                if not isinstance(state["core"], dict):
                    raise TypeError(f"accounts: {name}")  # noqa: TRY301
            self._check_more()
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as e:
            raise StateFileError(
                f"{self._file.path}: is not what this program stores ({type(e).__name__}: {e}); put a backup of the "
                f"whole folder back, or delete the folder to begin anew"
            ) from e

    def _check_more(self) -> None:
        """Read what else is stored; any error means that it cannot be read."""

    @property
    def stored(self) -> bool:
        """Whether there are accounts to continue."""
        return bool(self._document)

    @property
    def traded(self) -> bool:
        """Whether any account has ever had an order."""
        return any(state.get("core", {}).get("orders_made") for state in self._field("accounts").values())

    def given(self, name: str) -> Decimal:
        """Play money that an account begins with; 0 for one that the settings named later."""
        return Decimal(self._document.get("given", {}).get(name, "0"))

    def account(self, name: str) -> Mapping[str, Any] | None:
        """Stored state of an account, None where it has none."""
        state = self._field("accounts").get(name)
        return state if isinstance(state, dict) else None

    def put(self, name: str, state: Mapping[str, object]) -> None:
        """Store an account. Raises StateFileError."""
        self._field("accounts")[name] = state
        self.save()

    def save(self) -> None:
        """Write everything. Raises StateFileError."""
        self._file.save(self._document)

    def _begin(self, given: Mapping[str, Decimal], **more: object) -> None:
        self._document = {
            "schema_version": 1,
            **more,
            "given": {name: str(amount) for name, amount in given.items()},
            "accounts": {},
        }

    def _field(self, key: str) -> Any:
        try:
            return self._document[key]
        except KeyError as e:
            raise StateFileError(f"{self._file.path}: {key} is missing; delete the folder to begin anew") from e


class PaperStore(AccountsFile):
    """The accounts of paper mode."""

    def begin(self, *, given: Mapping[str, Decimal]) -> None:
        """Start anew; ``given`` is the play money of each account, which is paid in once.

        Written with the first account that is put.
        """
        self._begin(given)
