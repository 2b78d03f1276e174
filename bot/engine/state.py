"""What the engine remembers between cycles and over restarts, beyond orders, fills and flows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime

from bot.domain.errors import LedgerError
from bot.domain.finding import Finding
from bot.ports import Ledger

STATE_KEY = "engine_state"
WAY_OUT = "put a backup of the ledger back (`python bot.py ledger verify` tells what else was changed)"


@dataclass(slots=True)
class StopPlan:
    """Where a position's stop belongs; decimal texts, quote units."""

    stop_price: str
    first_stop_price: str
    """Of the first entry: it defines R."""


@dataclass(slots=True)
class ExitPlan:
    """A sale that is wanted and not done yet; ``keep`` is the quantity that stays."""

    keep: str
    reason: str
    tries: int = 0
    """Orders that did not sell all of it; each next one accepts a lower price."""
    by_stop: bool = False
    """Whether a stop was reached: such a sale goes on in a halt too."""


@dataclass(slots=True)
class EntryPlan:
    """An entry that is under way; decimal text, quote units, ISO 8601 UTC."""

    quantity: str
    """That was decided, in base units."""
    started_at: str
    first_number: int
    """Intent number of its first order; what it has bought is read from the ledger from here on."""
    decided_price: float
    stop_frac: float
    reason: str
    tries: int = 0
    """Orders beyond the first."""
    crossed: bool = False
    would_take: bool = False
    """Whether its last order was rejected because the price had come to it: worth another try."""


@dataclass(slots=True)
class FindingState:
    """A finding that stays until it ends or ``resume`` accepts it."""

    code: str
    account: str
    about: str
    detail: str
    since: str

    @classmethod
    def of(cls, finding: Finding) -> FindingState:
        """Plain JSON values of a finding."""
        return cls(finding.code.value, finding.account, finding.about, finding.detail, finding.since.isoformat())


@dataclass(slots=True)
class RefusedStop:
    """A stop that the venue has rejected; ISO 8601 UTC."""

    reason: str
    at: str
    tries: int


_Plan = StopPlan | ExitPlan | EntryPlan | FindingState | RefusedStop


@dataclass(slots=True)
class EngineState:
    """The engine's memory; one small JSON value in the ledger, times as ISO 8601 UTC."""

    activated: bool = False
    """Whether the account has ever reached the minimum balance."""
    halted_by: str = ""
    """'' or ``user``, ``drawdown``, ``fault``: only ``resume`` ends a halt."""
    paused: bool = False
    flatten: bool = False
    daily_loss_day: str = ""
    """UTC day on which the daily loss limit was reached: no entries until it ends."""
    today: str = ""
    """UTC day of the next two: equity when it began, and what came or went from outside since; USD."""
    today_start_usd: float = 0.0
    today_flows_usd: float = 0.0
    streak_blocked_until: str = ""
    streak_counts_from: str = ""
    """Losing trades closed before this moment are forgiven."""
    half_size_next: bool = False
    below_expectation: bool = False
    """Whether own trades have fallen short of what the evidence let expect; `resume --accept-results` ends it."""
    expected_rules: str = ""
    """The rules of the trades that are compared."""
    expected_from: str = ""
    """Trades closed up to this moment are not compared any more."""
    failed_cycles: int = 0
    """In a row."""
    good_cycles: int = 0
    """In a row, since the shut-off; 0 while there is none."""
    errors_latched: bool = False
    """Whether failed cycles have ended entries."""
    last_possible_order_at: str = ""
    """When an order above the minimums was last possible; 14 days without one are STALLED."""
    stall_reason: str = ""
    unexplained: dict[str, str] = field(default_factory=dict)
    """account|asset: what is there beyond the books, seen once; seen again it is a deposit or withdrawal."""
    unexplained_at: dict[str, str] = field(default_factory=dict)
    """account|asset: when it was seen first."""
    transfer_pending_until: str = ""
    transfer_amount: float = 0.0
    cursors: dict[str, str] = field(default_factory=dict)
    """account: where its fills were read up to."""
    opened_accounts: list[str] = field(default_factory=list)
    """Accounts whose opening balance is in the books."""
    last_decided_bar: dict[str, int] = field(default_factory=dict)
    entry_stop_frac: dict[str, float] = field(default_factory=dict)
    """account|symbol: stop distance of the newest entry, for the stop that follows its fill."""
    initial_risks: dict[str, float] = field(default_factory=dict)
    """account|symbol|opening time: R in USD of the newest positions; no ledger event tells it."""
    entry_plans: dict[str, EntryPlan] = field(default_factory=dict)
    """account|symbol: until it has bought what it wanted, or is given up."""
    stops: dict[str, StopPlan] = field(default_factory=dict)
    missing_since: dict[str, str] = field(default_factory=dict)
    """client order id: since when its venue has not listed a live order; '' until the cycle after the first look."""
    absent_at: dict[str, str] = field(default_factory=dict)
    """account: when an order there was last taken for absent."""
    sent_again: dict[str, str] = field(default_factory=dict)
    """client order id: when a live order that the venue did not have was sent for the second time."""
    fills_late: dict[str, str] = field(default_factory=dict)
    """client order id: since when the venue says that more of it is filled than it lists."""
    numbers_from: dict[str, int] = field(default_factory=dict)
    """account|symbol: the lowest intent number that no lost part of this ledger can have used."""
    foreign: dict[str, str] = field(default_factory=dict)
    """account|asset: coins beyond the bot's own when nothing was in doubt."""
    beyond: dict[str, str] = field(default_factory=dict)
    """account|asset: what was there beyond the open positions (below 0: missing) when nothing was in doubt."""
    short_since: dict[str, str] = field(default_factory=dict)
    """account|asset: since when the venue has held less of a coin than the books."""
    short_prices: dict[str, str] = field(default_factory=dict)
    """account|symbol: bid when coins of it were missed first."""
    missing: dict[str, str] = field(default_factory=dict)
    """account|symbol: coins of a position that are certainly not there: they do not count, nothing protects them."""
    findings: dict[str, FindingState] = field(default_factory=dict)
    """By name: what blocks entries until it ends or is accepted."""
    accepted: dict[str, str] = field(default_factory=dict)
    """Name of a finding: the missing quantity that ``resume`` has accepted; it is to be booked as gone."""
    stop_reached_at: dict[str, str] = field(default_factory=dict)
    """account|symbol: since when the price has been at its stop, which rests and has not sold."""
    opened_at: dict[str, str] = field(default_factory=dict)
    """account|symbol: when the position was opened to which its stop and its wanted sales belong."""
    stop_refused: dict[str, RefusedStop] = field(default_factory=dict)
    """account|symbol: while the venue rejects its stop; the bot watches the price meanwhile."""
    exits: dict[str, ExitPlan] = field(default_factory=dict)
    targets_reached: dict[str, int] = field(default_factory=dict)
    """account|symbol: price targets that the position has reached; the price may have fallen back since."""
    active_guards: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Plain JSON values; a copy that later changes do not reach."""
        values: dict[str, object] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, dict):
                values[name] = {k: asdict(v) if isinstance(v, _Plan) else v for k, v in value.items()}
            else:
                values[name] = list(value) if isinstance(value, list) else value
        return values

    @classmethod
    def from_json(cls, value: dict[str, object]) -> EngineState:
        """Read back what ``to_json`` gave. Raises LedgerError where it does not fit."""
        try:
            fresh = cls()
            for name, told in value.items():
                wanted = type(getattr(fresh, name))
                if type(told) is not wanted and (wanted, type(told)) != (float, int):
                    raise TypeError(f"{name} is {told!r}"[:80])  # noqa: TRY301 - told like the others
            state = cls(**value)  # type: ignore[arg-type]  # checked by the field names and the next five lines
            state.stops = {k: StopPlan(**v) for k, v in state.stops.items()}  # type: ignore[arg-type]
            state.exits = {k: ExitPlan(**v) for k, v in state.exits.items()}  # type: ignore[arg-type]
            state.entry_plans = {k: EntryPlan(**v) for k, v in state.entry_plans.items()}  # type: ignore[arg-type]
            state.stop_refused = {k: RefusedStop(**v) for k, v in state.stop_refused.items()}  # type: ignore[arg-type]
            state.findings = {k: FindingState(**v) for k, v in state.findings.items()}  # type: ignore[arg-type]
        except (AttributeError, TypeError) as e:
            raise LedgerError(f"the engine state in the ledger cannot be read: {e}; {WAY_OUT}") from e
        return state


class StateKeeper:
    """Loads the state and writes it when it has changed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        stored = ledger.value(STATE_KEY)
        if stored is None and ledger.flows():  # written together with the first of them
            raise LedgerError(
                f"the engine state is missing in the ledger: halts and limits would be forgotten; {WAY_OUT}"
            )
        if stored is not None and not isinstance(stored, dict):
            found = type(stored).__name__
            raise LedgerError(f"the engine state in the ledger cannot be read: it is {found}, no object; {WAY_OUT}")
        self.state = EngineState() if stored is None else EngineState.from_json(stored)
        self._saved = self.state.to_json()

    def save(self) -> None:
        """Write the state if it differs from what was written last."""
        current = self.state.to_json()
        if current != self._saved:
            self._ledger.set_value(STATE_KEY, current)
            self._saved = current


def parse_time(text: str) -> datetime | None:
    """Read a time of the state; '' is None."""
    return datetime.fromisoformat(text) if text else None
