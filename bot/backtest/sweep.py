"""Many sets of terms over the same candles: here, in processes of their own (joblib), or on a cluster (Dask).

Candles and signals are handed to each worker once, packed; a job carries its terms only.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from bot.backtest import layout as at
from bot.backtest import metrics
from bot.backtest.compare import hold_equities
from bot.backtest.compiled import source_digest
from bot.backtest.layout import Market, Signals, Terms
from bot.backtest.market import Kit
from bot.backtest.result import daily_equities
from bot.backtest.run import run
from bot.domain.errors import BotError, ConfigError

MOST_WORKERS = 64
CONNECT_S = 10.0
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}")
NO_WORKER = "a worker ended before its work was done, for want of memory perhaps; try --workers 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepData:
    """Stretches of time to run over, with the signals of the whole history before and within them."""

    markets: tuple[Market, ...]
    signals: Signals
    kit: Kit


class Job(NamedTuple):
    """One run: which of the markets, and on what terms."""

    market: int
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one run came to; fractions, USD."""

    equities: tuple[float, ...]
    """At the end of each UTC day, the start before them."""
    sharpe: float
    """NaN where equity has not moved."""
    drawdown: float
    """Over all cycles."""
    exposure: float
    trades: int
    orders: int
    decisions: int
    fees_usd: float

    @property
    def days(self) -> int:
        """Days that were run."""
        return len(self.equities) - 1

    @property
    def change(self) -> float:
        """Return over all days."""
        return self.equities[-1] / self.equities[0] - 1.0


Scores = Callable[[Sequence[Job]], list[Score]]
"""Runs jobs and gives their scores in the same order."""


def score_of(data: SweepData, job: Job) -> Score:
    """Run one job."""
    market = data.markets[job.market]
    book = run(market, data.signals, job.terms, kit=data.kit, keeps=False)
    equities = daily_equities(job.terms, book)
    return Score(
        equities=tuple(equities),
        sharpe=metrics.sharpe(metrics.moments(metrics.daily_returns(equities))),
        drawdown=float(book.rate[at.WORST_DRAWDOWN]),
        exposure=float(book.rate[at.EXPOSURE_SUM] / book.rate[at.CYCLES]),
        trades=int(book.total[at.CLOSED]),
        orders=int(book.total[at.ORDERS]),
        decisions=int(book.total[at.DECISIONS]),
        fees_usd=int(book.total[at.FEES_PAID]) / at.FEE_UNITS,
    )


def hold_score(market: Market, terms: Terms, days: int) -> Score:
    """What holding equal parts of all coins came to; nothing is decided, and the fees are in the equities alone."""
    equities = hold_equities(market, terms, days)
    return Score(
        equities=tuple(equities),
        sharpe=metrics.sharpe(metrics.moments(metrics.daily_returns(equities))),
        drawdown=metrics.max_drawdown(equities),
        exposure=1.0,
        trades=0,
        orders=0,
        decisions=0,
        fees_usd=0.0,
    )


def data_digest(data: SweepData, market: int) -> str:
    """Tell candles apart: a digest of one market's prices and times."""
    of = data.markets[market]
    digest = hashlib.sha256(repr((of.coins, of.steps, of.start_ms, of.bar_ms)).encode())
    for row in (of.opens, of.lows, of.closes):
        digest.update(repr([int(price) for price in row]).encode())
    return digest.hexdigest()[:16]


@contextmanager
def scores_by(data: SweepData, *, workers: int = 1, cluster: str | None = None) -> Iterator[Scores]:
    """Give what runs jobs: this process, ``workers`` of them, or the cluster at an address such as tcp://host:8786.

    The scores are the same. Raises ConfigError where the cluster does not answer, has no workers or other sources.
    """
    if cluster is not None:
        with _on_cluster(data, cluster) as scores:
            yield scores
    elif workers > 1:
        with _in_processes(data, workers) as scores:
            yield scores
    else:
        yield lambda jobs: [score_of(data, job) for job in jobs]


# -- in other processes

_unpacked: dict[str, SweepData] = {}
"""What this worker runs on, by the digest of its packed form; one at a time."""


def _pack(data: SweepData) -> tuple[str, bytes]:
    packed = pickle.dumps(data, protocol=pickle.HIGHEST_PROTOCOL)
    return hashlib.sha256(packed).hexdigest(), packed


def _unpack(key: str, packed: bytes) -> SweepData:
    data = _unpacked.get(key)
    if data is None:
        data = pickle.loads(packed)  # noqa: S301 - made by this program, a moment ago
        assert isinstance(data, SweepData), "what was packed is what is unpacked"
        _unpacked.clear()
        _unpacked[key] = data
    return data


def _score_unpacked(key: str, job: Job) -> Score:
    return score_of(_unpacked[key], job)


def _score_packed(key: str, job: Job, packed: bytes) -> Score:
    return score_of(_unpack(key, packed), job)


@contextmanager
def _in_processes(data: SweepData, workers: int) -> Iterator[Scores]:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    key, packed = _pack(data)

    def scores(jobs: Sequence[Job]) -> list[Score]:
        try:
            found: list[Score] = parallel(delayed(_score_unpacked)(key, job) for job in jobs)
        except TerminatedWorkerError as e:
            raise BotError(NO_WORKER) from e
        return found

    try:
        with Parallel(n_jobs=workers, backend="loky", initializer=_unpack, initargs=(key, packed)) as parallel:
            yield scores
    finally:
        get_reusable_executor().shutdown(wait=True)


@contextmanager
def _on_cluster(data: SweepData, address: str) -> Iterator[Scores]:
    from distributed import Client
    from distributed.scheduler import KilledWorker

    if not _ADDRESS.fullmatch(address):
        raise ConfigError(f"--cluster {address}: must be an address such as tcp://127.0.0.1:8786")
    key, packed = _pack(data)
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as e:
        raise ConfigError(
            f"--cluster {address}: no Dask scheduler answers there; `dask scheduler` starts one, and an address is "
            "such as tcp://127.0.0.1:8786"
        ) from e
    try:
        _check_workers(client, address)
        held = client.scatter(packed, broadcast=True, hash=False)

        def scores(jobs: Sequence[Job]) -> list[Score]:
            futures = client.map(_score_packed, [key] * len(jobs), jobs, packed=held, pure=False)
            try:
                found: list[Score] = client.gather(futures)
            except KilledWorker as e:
                raise BotError(NO_WORKER) from e
            return found

        yield scores
    finally:
        client.close()


def _check_workers(client: Any, address: str) -> None:
    """Raise ConfigError unless there are workers and all of them, and the scheduler, run these very sources."""
    try:
        digests = client.run(source_digest)
        of_scheduler = client.run_on_scheduler(source_digest)
    except ModuleNotFoundError as e:
        raise ConfigError(
            f"--cluster {address}: its scheduler or a worker has not got {e.name}; start `dask scheduler` and each "
            f"`dask worker {address}` in this program's folder and environment"
        ) from e
    if not digests:
        raise ConfigError(f"--cluster {address}: it has no workers; `dask worker {address}` starts one")
    digests["its scheduler"] = of_scheduler
    strangers = sorted(name for name, digest in digests.items() if digest != source_digest())
    if strangers:
        raise ConfigError(
            f"--cluster {address}: {', '.join(strangers)} has other sources or packages than this computer; update it "
            "and start it anew"
        )


def sharpe_or_zero(score: Score) -> float:
    """Sharpe ratio, 0 for an account that did nothing: it neither won nor lost."""
    return 0.0 if math.isnan(score.sharpe) else score.sharpe
