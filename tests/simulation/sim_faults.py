"""What goes wrong in a simulation: the faults, the steps at which they strike, and how often each has struck.

A fault is drawn at every call of every port. ``Coverage`` counts (state of the order, fault, step); ``reachable`` says
which of these cells can be hit at all, and the rest of them says why not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NoReturn

from bot.domain.orders import FINAL_STATES, OrderState

NONE = "none"
"""In place of an order's state: no live order was there."""


class ProcessDiedError(BaseException):
    """The simulated end of the process; no ``except Exception`` may catch it."""


class Step(StrEnum):
    """A call of a port."""

    JOURNAL = "journal"
    """A write or a commit of the ledger."""
    SEND = "send"
    CANCEL = "cancel"
    OPEN_ORDERS = "open orders"
    FIND_ORDER = "find order"
    FILLS = "fills"
    BALANCES = "balances"
    TICKERS = "tickers"
    CANDLES = "candles"
    RULES = "rules"
    """Markets and fees."""
    STATE_FILE = "state file"


class Fault(StrEnum):
    """What goes wrong at a call."""

    DELAY = "delay"
    """Up to a minute passes, before or after the effect."""
    DROP_BEFORE = "drop before"
    """The request is lost: it has no effect."""
    DROP_AFTER = "drop after"
    """The answer is lost: what was asked for has been done."""
    DUPLICATE = "duplicate"
    RATE_LIMIT = "429"
    """Refused, and everything else too for a while."""
    SERVER_ERROR = "5xx"
    GARBAGE = "garbage 200"
    PARTIAL = "partial fill"
    """The market takes a part of an order at this very moment."""
    LATE_LISTING = "late appearance"
    """What has happened is not listed yet."""
    LATE_ARRIVAL = "late arrival"
    """The request is done some time after the client has given it up."""
    STALE = "stale balance"
    REJECT = "reject"
    CLOCK = "clock step"
    DISK = "disk error"
    DEATH_BEFORE = "death before"
    DEATH_AFTER = "death after"


_F = Fault
_READ = (_F.DELAY, _F.DROP_BEFORE, _F.RATE_LIMIT, _F.SERVER_ERROR, _F.GARBAGE, _F.CLOCK)
_DEATHS = (_F.DEATH_BEFORE, _F.DEATH_AFTER)
FAULTS_AT: dict[Step, tuple[Fault, ...]] = {
    Step.JOURNAL: (_F.DISK, _F.DELAY, _F.CLOCK, *_DEATHS),
    Step.SEND: (
        *(_F.DELAY, _F.DROP_BEFORE, _F.DROP_AFTER, _F.DUPLICATE, _F.RATE_LIMIT, _F.SERVER_ERROR, _F.GARBAGE),
        *(_F.PARTIAL, _F.LATE_LISTING, _F.LATE_ARRIVAL, _F.REJECT, _F.CLOCK, *_DEATHS),
    ),
    Step.CANCEL: (
        *(_F.DELAY, _F.DROP_BEFORE, _F.DROP_AFTER, _F.DUPLICATE, _F.RATE_LIMIT, _F.SERVER_ERROR, _F.GARBAGE),
        *(_F.PARTIAL, _F.LATE_ARRIVAL, _F.CLOCK, *_DEATHS),
    ),
    Step.OPEN_ORDERS: (*_READ, _F.PARTIAL, _F.LATE_LISTING, *_DEATHS),
    Step.FIND_ORDER: (*_READ, _F.PARTIAL, _F.LATE_LISTING, *_DEATHS),
    Step.FILLS: (*_READ, _F.PARTIAL, _F.LATE_LISTING, *_DEATHS),
    Step.BALANCES: (*_READ, _F.STALE, *_DEATHS),
    Step.TICKERS: (*_READ, *_DEATHS),
    Step.CANDLES: (*_READ, *_DEATHS),
    Step.RULES: (*_READ, *_DEATHS),
    Step.STATE_FILE: (_F.DISK, *_DEATHS),
}
"""Which faults can strike where. A lost answer to a question has the effect of a lost question: it counts as that."""

RATES: dict[Step, float] = {
    Step.JOURNAL: 0.005,
    Step.SEND: 0.3,
    Step.CANCEL: 0.3,
    Step.OPEN_ORDERS: 0.035,
    Step.FIND_ORDER: 0.1,
    Step.FILLS: 0.025,
    Step.BALANCES: 0.025,
    Step.TICKERS: 0.012,
    Step.CANDLES: 0.08,
    Step.RULES: 0.05,
    Step.STATE_FILE: 0.3,
}
"""How often a call goes wrong at an intensity of 1; the journal of an order ten times as often."""
ORDER_JOURNAL = 10.0

RARE = frozenset({OrderState.PARTLY_FILLED, OrderState.UNKNOWN, OrderState.CANCEL_IN_FLIGHT})
RARE_FACTOR = {
    Step.TICKERS: 10.0,
    Step.CANDLES: 30.0,
    Step.BALANCES: 4.0,
    Step.FILLS: 4.0,
    Step.STATE_FILE: 6.0,
}
RARE_FACTOR_ELSE = 3.0
"""So much more often something goes wrong while an order is in one of the rare states: the table needs it."""
READS = frozenset(step for step in Step if step not in (Step.JOURNAL, Step.SEND, Step.CANCEL, Step.STATE_FILE))
READ_DEATHS_SPARED = 0.6
"""A start costs the time of ten cycles, and where nothing is being done a death tells little."""

Cell = tuple[str, Fault, Step]
"""(state of an order or NONE, fault, step)."""


class Chaos:
    """Draws the faults of one episode and counts them. ``quiet``: nothing goes wrong for a while."""

    def __init__(self, chance: random.Random, coverage: Counter[Cell], intensity: float) -> None:
        self.chance = chance
        self.coverage = coverage
        self.quiet = False
        self.struck = 0
        self.deaths = 0
        self.in_step: list[tuple[Step, Fault]] = []
        """What has struck since the last step of the episode began."""
        self._rates = {step: min(0.6, rate * intensity) for step, rate in RATES.items()}

    def draw(self, step: Step, states: Callable[[], Iterable[str]], *, factor: float = 1.0) -> Fault | None:
        """A fault for this call, counted, or None. Raises ProcessDiedError for a death before it."""
        if self.quiet:
            return None
        drawn, rate = self.chance.random(), self._rates[step] * factor
        if drawn >= rate * RARE_FACTOR.get(step, RARE_FACTOR_ELSE):
            return None
        is_rare = not RARE.isdisjoint(states())
        if drawn >= rate and not is_rare:
            return None
        faults = FAULTS_AT[step]
        fault = faults[self.chance.randrange(len(faults))]
        if fault in _DEATHS and step in READS and not is_rare and self.chance.random() < READ_DEATHS_SPARED:
            fault = Fault.DROP_BEFORE
        self.note(fault, step, states())
        if fault is Fault.DEATH_BEFORE:
            self.die(step, fault)
        return fault

    def note(self, fault: Fault, step: Step, states: Iterable[str]) -> None:
        """Count a fault."""
        self.struck += 1
        self.in_step.append((step, fault))
        for state in set(states) or {NONE}:
            self.coverage[state, fault, step] += 1

    def die(self, step: Step, fault: Fault) -> NoReturn:
        """End the process."""
        self.deaths += 1
        raise ProcessDiedError(f"{fault} {step}")


# -- what can be hit at all

_S = OrderState
_LIVE_AT_READS = (NONE, _S.OPEN, _S.PARTLY_FILLED, _S.UNKNOWN, _S.CANCEL_IN_FLIGHT)
STATES_AT: dict[Step, tuple[str, ...]] = {
    Step.JOURNAL: (NONE, _S.INTENT, _S.IN_FLIGHT, _S.OPEN, _S.PARTLY_FILLED, _S.CANCEL_IN_FLIGHT, _S.UNKNOWN),
    Step.SEND: (_S.IN_FLIGHT,),
    Step.CANCEL: (_S.CANCEL_IN_FLIGHT,),
    Step.OPEN_ORDERS: _LIVE_AT_READS,
    Step.FIND_ORDER: (_S.OPEN, _S.PARTLY_FILLED, _S.UNKNOWN, _S.CANCEL_IN_FLIGHT),
    Step.FILLS: _LIVE_AT_READS,
    Step.BALANCES: _LIVE_AT_READS,
    Step.TICKERS: _LIVE_AT_READS,
    Step.CANDLES: _LIVE_AT_READS,
    Step.RULES: _LIVE_AT_READS,
    Step.STATE_FILE: _LIVE_AT_READS,
}
"""States that an order of the account can be in at a step.

* Final ones are of no live order, so that no step is about them; INTENT becomes IN_FLIGHT in the same transaction, and
  IN_FLIGHT ends with the answer (or the restart makes UNKNOWN of it): only the journal and the sending see them.
* CANCEL_IN_FLIGHT lasts from the journal over the cancelling to the question what became of it, and where the process
  ended in between until a venue has been asked again.
"""


def reachable(state: str, fault: Fault, step: Step) -> bool:
    """Whether a cell of the coverage table can be hit; the reasons stand in ``FAULTS_AT`` and ``STATES_AT``."""
    if state in FINAL_STATES or fault not in FAULTS_AT[step]:
        return False
    return state in STATES_AT[step]


def cells() -> list[Cell]:
    """Every cell that can be hit."""
    states = (NONE, *OrderState)
    return [(s, fault, step) for step in Step for fault in FAULTS_AT[step] for s in states if reachable(s, fault, step)]
