"""Composition root of `bot.py download`: pages of a venue's public candles into candle files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from bot.bootstrap_live import public_venue
from bot.clock import StopSignal, WallClock
from bot.domain.errors import CandleDataError, ConfigError, VenueError
from bot.domain.market import MS_PER_DAY, PEGGED_QUOTES, TIMEFRAME_MS, Candle
from bot.settings_schema import Settings
from bot.storage.candle_files import candle_file_name
from bot.storage.candle_reader import FIRST_MS, Gap, read_candle_file, utc_text
from bot.storage.candle_store import CandleStore
from bot.storage.lock import ModeLock
from bot.venues.ccxt_venue import CcxtVenue
from bot.views.download_text import Asked, CoinReport, gaps_within

DEFAULT_DAYS = 2_557
"""Seven years: six to look at, and one for the signals to look back on."""

LOCK_NAME = ".download.lock"
"""Not a bot's: the folder may be one in which a bot runs."""

OnPage = Callable[[str, int, int, int], None]
"""Told of a coin, the pages that have come and those that are needed, and up to when (milliseconds)."""


class Download:
    """Candles of one timeframe from one venue, a coin at a time."""

    def __init__(self, venue: CcxtVenue, markets: Collection[str], asked: Asked, on_page: OnPage) -> None:
        self._venue = venue
        self._markets = markets
        self._on_page = on_page
        self.asked = asked

    def coins(self, coins: Sequence[str]) -> Iterator[CoinReport]:
        """Fetch what the coins' files lack; what was stored stays, whatever happens. Ends after an interruption."""
        for coin in coins:
            report = _CoinDownload(self._venue, self._markets, self.asked, coin, self._on_page).run()
            yield report
            if report.interrupted:
                return


class _CoinDownload:
    """One coin: its file is continued to the end of the range, then extended to its beginning."""

    def __init__(self, venue: CcxtVenue, markets: Collection[str], asked: Asked, coin: str, on_page: OnPage) -> None:
        self._venue = venue
        self._markets = markets
        self._asked = asked
        self._coin = coin
        self._on_page = on_page
        self._timeframe = asked.timeframe
        self._length_ms = TIMEFRAME_MS[asked.timeframe]
        self._page_ms = venue.candles_per_page * self._length_ms
        symbols = [f"{coin}/{quote}" for quote in PEGGED_QUOTES]
        self._symbol = next((symbol for symbol in symbols if symbol in markets), symbols[0])
        self._path = asked.folder / candle_file_name(asked.venue, self._symbol, asked.timeframe)
        self._pages = self._needed = self._added = 0

    def run(self) -> CoinReport:
        """Fetch what is lacking and say what there is."""
        problem, interrupted = "", False
        try:
            self._fetch()
        except (VenueError, CandleDataError) as e:
            problem = str(e)
        except KeyboardInterrupt:
            problem, interrupted = "interrupted", True
        candles, first_ms, last_ms, gaps = self._stored()
        if not candles and not problem:
            problem = f"{self._asked.venue} has no candle of {self._symbol} in this range"
        return CoinReport(
            coin=self._coin,
            file=self._path.name,
            pages=self._pages,
            added=self._added,
            candles=candles,
            first_ms=first_ms,
            last_ms=last_ms,
            gaps=gaps_within(gaps, self._asked.from_ms, self._asked.to_ms, self._length_ms),
            problem=problem,
            interrupted=interrupted,
        )

    def _stored(self) -> tuple[int, int | None, int | None, Sequence[Gap]]:
        """Number, first, last and gaps of what is in the file; nothing where it cannot be read."""
        try:
            file = read_candle_file(self._path, self._timeframe, torn_end=True)
        except CandleDataError:
            return 0, None, None, ()
        return len(file.series), file.series.times[0], file.series.times[-1], file.gaps

    def _fetch(self) -> None:
        if self._symbol not in self._markets:
            raise VenueError(f"{self._asked.venue} lists no market of {self._coin} in {' or '.join(PEGGED_QUOTES)}")
        store = CandleStore(self._path, self._timeframe)
        from_ms, to_ms = self._asked.from_ms, self._asked.to_ms
        if store.first_ms is None or store.last_ms is None:
            self._fill(store, self._beginning(to_ms), to_ms)
            return
        # From there also where the range begins later: a hole that nobody has asked for would look like a gap.
        self._fill(store, store.last_ms + self._length_ms, to_ms)
        earlier = store.earlier()
        if earlier.last_ms is not None and from_ms < store.first_ms:  # of a run that was ended
            self._fill(earlier, earlier.last_ms + self._length_ms, store.first_ms)
            store.join(earlier)
            earlier = store.earlier()
        if from_ms < store.first_ms:
            self._fill(earlier, self._beginning(store.first_ms), store.first_ms)
            store.join(earlier)

    def _beginning(self, until_ms: int) -> int:
        """Where to begin: at the first day of the market, not with page after page of nothing before it."""
        from_ms = self._asked.from_ms
        if until_ms - from_ms <= self._page_ms or self._length_ms == MS_PER_DAY:
            return from_ms
        count = self._venue.candles_per_page
        for start_ms in range(from_ms - from_ms % MS_PER_DAY, until_ms, count * MS_PER_DAY):
            days = self._venue.candle_page(self._symbol, "1d", start_ms, count)
            self._pages += 1
            if days:
                return max(from_ms, days[0].open_ms)
        return max(from_ms, until_ms - until_ms % MS_PER_DAY - MS_PER_DAY)  # no day of it is over yet

    def _fill(self, store: CandleStore, start_ms: int, end_ms: int) -> None:
        """Append the candles of [``start_ms``, ``end_ms``) that are served, page by page."""
        starts = range(max(start_ms, self._venue.served_from_ms(self._timeframe)), end_ms, self._page_ms)
        self._needed = self._pages + len(starts)
        for page_ms in starts:
            self._on_page(self._coin, self._pages, self._needed, page_ms)
            until_ms = min(end_ms, page_ms + self._page_ms)
            page = self._page(page_ms, until_ms)
            if not page and store.last_ms is not None:
                # Once more before it counts as a gap: what has been passed is not asked for again.
                page = self._page(page_ms, until_ms)
            store.append(page)
            self._added += len(page)

    def _page(self, start_ms: int, end_ms: int) -> Sequence[Candle]:
        page = self._venue.candle_page(self._symbol, self._timeframe, start_ms, (end_ms - start_ms) // self._length_ms)
        self._pages += 1
        return page


@contextmanager
def open_download(
    settings: Settings,
    *,
    account: str,
    timeframe: str,
    from_ms: int | None,
    to_ms: int | None,
    folder: Path,
    now: datetime,
    on_page: OnPage,
) -> Iterator[Download]:
    """Reach the venue and take the folder; None stands for seven years before the end, and for the last closed candle.

    Raises ConfigError for what the venue does not serve, VenueError where it does not answer, and AlreadyRunningError
    where another download writes into the folder.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--folder {folder}: is a file; a folder was expected")
    stop = StopSignal()
    try:
        with ModeLock(folder, now=now, command="download", name=LOCK_NAME):
            venue = public_venue(account, settings, clock=WallClock(stop))
            if timeframe not in venue.timeframes:
                raise ConfigError(f"--timeframe {timeframe}: {account} serves {', '.join(venue.timeframes)}")
            try:
                markets = venue.instruments().keys()
                venue.measure_drift()  # else a forming candle could pass for a closed one
            except VenueError as e:
                raise VenueError(f"{e}. Is this machine online? Nothing was changed; try the same again.") from None
            asked = _asked(venue, account=account, timeframe=timeframe, from_ms=from_ms, to_ms=to_ms, folder=folder)
            yield Download(venue, markets, asked, on_page)
    finally:
        stop.close()


def _asked(
    venue: CcxtVenue, *, account: str, timeframe: str, from_ms: int | None, to_ms: int | None, folder: Path
) -> Asked:
    """Put the range on the grid and cut off what has not closed or is not served.

    Raises ConfigError where nothing is left.
    """
    length_ms = TIMEFRAME_MS[timeframe]
    closed_ms = venue.time_ms() // length_ms * length_ms
    end_ms = closed_ms if to_ms is None else min(closed_ms, -(-to_ms // length_ms) * length_ms)
    start_ms = end_ms - DEFAULT_DAYS * MS_PER_DAY if from_ms is None else from_ms
    start_ms = -(-max(start_ms, FIRST_MS) // length_ms) * length_ms
    note = ""
    served_ms = venue.served_from_ms(timeframe)
    if start_ms < served_ms:
        note = (
            f"{account} serves only its newest {venue.candles_served} candles of a timeframe, whatever is asked: "
            f"{timeframe} from {utc_text(served_ms)} on; --venue coinbase has longer histories"
        )
        start_ms = served_ms
    if start_ms >= end_ms:
        why = note or f"the last closed candle of {timeframe} ends at {utc_text(closed_ms)}"
        raise ConfigError(f"--from/--to: there is no closed candle in this range; {why}")
    return Asked(venue=account, timeframe=timeframe, from_ms=start_ms, to_ms=end_ms, folder=folder, note=note)
