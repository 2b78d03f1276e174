"""The loop around the engine: cycle, report, wait, until told to stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.errors import BotError, InvariantError
from bot.engine.engine import CycleResult, Engine
from bot.ports import Clock


@dataclass(slots=True)
class RunTally:
    """What a run amounted to, counted cycle by cycle."""

    cycles: int = 0
    orders: int = 0
    start_equity: float | None = None
    end_equity: float = 0.0
    max_drawdown_frac: float = 0.0
    fill_times: list[datetime] = field(default_factory=list)
    _exposure_sum: float = 0.0

    def add(self, result: CycleResult) -> None:
        """Count one cycle."""
        self.cycles += 1
        self.orders += result.orders_placed
        if self.start_equity is None:
            self.start_equity = result.equity
        self.end_equity = result.equity
        self.max_drawdown_frac = max(self.max_drawdown_frac, result.drawdown_frac)
        self._exposure_sum += result.exposure_frac
        self.fill_times.extend(fill.at for fill in result.fills)

    @property
    def exposure_frac(self) -> float:
        """Mean share of equity that was in coins."""
        return self._exposure_sum / self.cycles if self.cycles else 0.0


def run_engine(
    engine: Engine,
    clock: Clock,
    *,
    stopped: Callable[[], bool],
    on_cycle: Callable[[CycleResult], None],
    cycles: int | None = None,
    until: datetime | None = None,
    settling_most: int = 0,
) -> None:
    """Run cycles until stopped, until ``cycles`` are done, or until the next one would be after ``until``.

    After the last of ``cycles`` up to ``settling_most`` more follow while something is open that the next look may
    settle: an order of unknown outcome, a position without its stop.
    After an error inside the program the engine is halted over restarts, and InvariantError raised.
    The last wait is left out. Positions and their stops stay as they are: ending is not selling.
    """
    done = 0
    due_at: datetime | None = None
    while not stopped():
        result = _cycle(engine, clock.now(), decides=True, due_at=due_at)
        on_cycle(result)
        done += 1
        if cycles is not None and done >= cycles and (done >= cycles + settling_most or not engine.is_unsettled):
            break
        if until is not None and result.next_cycle_at > until:
            clock.wait_until(until)  # the last bar counts to its end: stops in it, and its close
            on_cycle(_cycle(engine, clock.now(), decides=False, due_at=until))
            break
        due_at = max(result.next_cycle_at, clock.now())
        clock.wait_until(result.next_cycle_at)
    engine.finish()


def _cycle(engine: Engine, now: datetime, *, decides: bool, due_at: datetime | None) -> CycleResult:
    try:
        return engine.cycle(now, decides=decides, due_at=due_at)
    except BotError as e:
        if isinstance(e, InvariantError):
            _halt(engine)
        raise
    except Exception as e:  # the loop's outermost frame: halts, never hides
        _halt(engine)
        raise InvariantError(f"an error inside the program: {type(e).__name__}: {e}") from e


def _halt(engine: Engine) -> None:
    with contextlib.suppress(BotError):  # the error that led here is the one to report
        engine.halt_by_fault()
