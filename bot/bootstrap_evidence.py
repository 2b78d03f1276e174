"""Evidence from candles: what every candidate of the default did, the regime's record, and the trained model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from bot.backtest import choice, metrics
from bot.backtest import layout as at
from bot.backtest.bootstrap import resample
from bot.backtest.choice import CANDIDATES, Tried, choose
from bot.backtest.compiled import HOW_TO_INSTALL
from bot.backtest.result import LOOKS, result_of
from bot.backtest.train import is_available, train
from bot.backtest.windows import spans, spread_of, window_of
from bot.bootstrap_backtest import Prepared, prepared
from bot.bootstrap_config import PAPER_ACCOUNTS, paper_fees, rules_of
from bot.domain.errors import ConfigError
from bot.domain.evidence import EvidenceFile, Expectation, HitRate
from bot.domain.market import MS_PER_DAY
from bot.domain.model_card import ModelCard
from bot.engine.history import History, SignalRules
from bot.settings_schema import Settings
from bot.storage.candle_files import SourceData, checksum_of, open_source

TIMEFRAME = "1d"
WARM_UP_DAYS = 365
ALL_LOOKS = LOOKS + len(CANDIDATES)

SettingsWith = Callable[[dict[str, str]], Settings]
"""The default settings with some of them changed."""


def checksums(data: SourceData) -> dict[str, str]:
    """SHA-256 of every file that was read, by name. Raises OSError where one is gone by now."""
    paths = (file.path for of in data.coins.values() for file in of.read)
    return dict(sorted((path.name, checksum_of(path)) for path in paths))


def build_evidence(
    settings_with: SettingsWith, *, folder: Path, source: str, now: datetime, say: Callable[[str], None]
) -> tuple[EvidenceFile, ModelCard | None]:
    """Compute all of it from daily candles; the model is None without the ``research`` extra or enough breakouts.

    The first year of candles is warm-up. The default is chosen on candles up to the last day of its rule alone.
    Raises ConfigError where the candles are too few.
    """
    plain = settings_with({})
    data = open_source(folder, source, plain.trade_only, timeframe=TIMEFRAME)
    last_ms = _day_ms(choice.LAST_DAY) + MS_PER_DAY
    ends = max(of.daily.times[-1] for of in data.coins.values()) + MS_PER_DAY
    if _moment(ends) > now:
        raise ConfigError(
            f"{source} candles in {folder} end with that of {_moment(ends - MS_PER_DAY):%Y-%m-%d}, which has "
            "not closed: take it out of the files, it is no evidence"
        )
    begins = max(min(of.daily.times[0] for of in data.coins.values()) + WARM_UP_DAYS * MS_PER_DAY, _first_ms())
    expectations, tried = [], []
    by_rule = begins == _first_ms() and ends >= last_ms
    for account in PAPER_ACCOUNTS:
        for name, changes in CANDIDATES.items():
            say(f"{account}: {name} ...")
            settings = settings_with({**changes, "TRADE_ONLY": ",".join(data.coins)})
            ready = prepared(settings, data=data, account=account, equity=Decimal(choice.EQUITY_USD), compiled=False)
            found, ruled = _expectation(ready, settings, account=account, name=name, from_ms=begins, to_ms=ends)
            expectations.append(found)
            if by_rule and account == choice.ACCOUNT:
                if ends != last_ms:
                    _, ruled = _expectation(ready, settings, account=account, name=name, from_ms=begins, to_ms=last_ms)
                tried.append(ruled)
    chosen, qualifies = ("", False)
    if tried:
        best, qualifies = choose(tried)
        chosen = best.name
    files = checksums(data)
    fees = paper_fees(choice.ACCOUNT, plain)
    card = None
    if is_available():
        say("the model of the trade filter ...")
        daily = {coin: of.daily for coin, of in data.coins.items()}
        fee_in, fee_out = float(fees.maker_frac), float(fees.taker_frac)
        try:
            card = train(daily, source=source, files=files, fee_in=fee_in, fee_out=fee_out, now=now)
        except ConfigError as e:
            say(f"no model: {e}")
    else:
        say(f"no model: that needs the research packages; {HOW_TO_INSTALL}")
    evidence = EvidenceFile(
        built_at=now.astimezone(UTC).replace(microsecond=0),
        source=source,
        timeframe=TIMEFRAME,
        from_at=_moment(begins),
        to_at=_moment(ends),
        files=tuple(files.items()),
        looks=ALL_LOOKS,
        chosen=chosen,
        chosen_qualifies=qualifies,
        expectations=tuple(expectations),
        regime=tuple(_hit_rate(coin, data, begins) for coin in data.coins),
    )
    return evidence, card


def _expectation(
    ready: Prepared, settings: Settings, *, account: str, name: str, from_ms: int, to_ms: int
) -> tuple[Expectation, Tried]:
    whole = ready.between(from_ms, to_ms)
    book = whole.run(keeps=False)
    result = result_of(whole.market, whole.terms, book, kit=whole.kit, resample=resample, looks=ALL_LOOKS)
    gains, lost = [], 0
    for start_ms, end_ms in spans(from_ms, to_ms, every=1):
        part = ready.between(start_ms, end_ms)
        window = window_of(part.market, part.terms, part.run(keeps=False))
        gains.append(window.gain)
        lost += window.gain < 0
    if not gains:
        raise ConfigError("the candles hold no twelve months after their first year; `download` fetches more")
    spread, sharpe = spread_of(gains), result.statistics["sharpe"]
    results = [float(r) for r in book.result[: int(book.total[at.RESULTS])]]
    expectation = Expectation(
        account=account,
        name=name,
        rules=rules_of(settings),
        maker_fee_pct=round(float(ready.fees.maker_frac) * 100, 6),
        taker_fee_pct=round(float(ready.fees.taker_frac) * 100, 6),
        equity_usd=float(choice.EQUITY_USD),
        trades=len(results),
        total_r=round(sum(results), 6),
        squares_r=round(sum(r * r for r in results), 6),
        days=result.days,
        windows=len(gains),
        p10_pct=round(spread.low * 100, 2),
        median_pct=round(spread.median * 100, 2),
        p90_pct=round(spread.high * 100, 2),
        lost=lost,
        max_drawdown_pct=round(result.drawdown * 100, 2),
        sharpe=round(sharpe.value, 3),
        sharpe_low=round(sharpe.low, 3),
        sharpe_high=round(sharpe.high, 3),
        dsr=round(result.statistics["dsr"].value, 3),
    )
    returns = tuple(metrics.daily_returns(result.equities))
    return expectation, Tried(name=name, returns=returns, drawdown=result.drawdown, median=spread.median)


def _hit_rate(coin: str, data: SourceData, from_ms: int) -> HitRate:
    history = History(SignalRules(regime=True))
    daily = data.coins[coin].daily
    history.extend(daily.between(0, len(daily)))
    hits = history.regime_hits(from_ms)
    return HitRate(coin=coin, periods=hits.periods, right=hits.right, rose=hits.rose)


def _day_ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def _first_ms() -> int:
    return _day_ms(choice.FIRST_DAY)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)
