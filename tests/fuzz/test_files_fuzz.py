"""Files that other programs, other versions or a bad disk have written: an error with words, or the right contents."""

from __future__ import annotations

import gzip
import json
import math
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_mutants import mutated_body

from bot.bootstrap import open_simulated
from bot.clock import StopSignal
from bot.domain.errors import BotError, CandleDataError, LedgerError, StateFileError
from bot.scaling.ladder import SCALING_TIERS
from bot.scaling.state import TierState, apply
from bot.settings import load_settings
from bot.storage.candle_reader import COLUMNS, read_candle_file
from bot.storage.control import Command, ControlQueue
from bot.storage.ledger import SqliteLedger
from bot.storage.market_copy import MarketCopy
from bot.storage.paper_store import PaperStore
from bot.storage.state_file import JsonStateFile

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EXAMPLES = 150
SEEDS = st.integers(0, 2**32)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CONTENTS = st.one_of(st.binary(max_size=200), JSON_VALUES.map(lambda value: json.dumps(value).encode()))
"""Any bytes, and JSON of any shape."""


def tells(error: BotError, words: str = "") -> None:
    assert words in str(error)
    assert str(error)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def broken(good: bytes) -> st.SearchStrategy[bytes]:
    """A good file with a fault in it."""
    return SEEDS.map(lambda seed: mutated_body(good, random.Random(seed)))


# ---- the tier's state file

_STATE = TierState()
for _equity in (20.0, 120.0, 600.0):
    _STATE = apply(_STATE, _equity, SCALING_TIERS, NOW)[1]
GOOD_STATE = json.dumps(_STATE.to_json()).encode()


@settings(max_examples=EXAMPLES)
@given(CONTENTS | broken(GOOD_STATE))
def test_tier_state_file_of_any_contents_is_used_or_set_aside_and_works_on(content: bytes) -> None:
    with folder() as place:
        path = place / ".auto_scaling_state.json"
        path.write_bytes(content)
        file = JsonStateFile(path, durable=False, check=TierState.from_json)
        try:
            found = file.load()
        except StateFileError as e:
            tells(e, "newer")  # the file is good, this program is too old for it
            assert path.read_bytes() == content
            return
        state = TierState.from_json(found)
        if not found:  # nothing is thrown away
            assert path.exists() or [kept.read_bytes() for kept in place.iterdir()] == [content]
        _, after = apply(state, 100.0, SCALING_TIERS, NOW)
        file.save(after.to_json())
        assert TierState.from_json(file.load()) == after
        assert after.last_equity is not None
        assert math.isfinite(after.last_equity)


# ---- accounts of play money


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a simulation has run for three days."""
    place = tmp_path_factory.mktemp("simulated")
    stop = StopSignal()
    session = open_simulated(_settings(place), seed=15, pace_s=0.0, stop=stop, now=NOW)
    for _ in range(72):
        result = session.engine.cycle(session.clock.now())
        session.after_cycle(result.at)
        session.clock.wait_until(result.next_cycle_at)
    session.close()
    stop.close()
    return place


def _settings(place: Path) -> Any:
    return load_settings(env_file=None, environ={"STATE_DIR": str(place)})


@settings(max_examples=EXAMPLES)
@given(SEEDS)
def test_simulated_accounts_of_any_contents_continue_or_are_refused_in_words(simulated: Path, seed: int) -> None:
    good = (simulated / "simulated" / "paper_accounts.json").read_bytes()
    ledger = (simulated / "simulated" / "ledger.sqlite3").read_bytes()
    content = mutated_body(good, random.Random(seed))
    stop = StopSignal()
    with folder() as place:
        (place / "simulated").mkdir()
        (place / "simulated" / "paper_accounts.json").write_bytes(content)
        (place / "simulated" / "ledger.sqlite3").write_bytes(ledger)
        try:
            session = open_simulated(_settings(place), seed=None, pace_s=0.0, stop=stop, now=NOW)
        except BotError as e:
            tells(e)
            return
        finally:
            stop.close()
        try:
            result = session.engine.cycle(session.clock.now())
            session.after_cycle(session.clock.now())
            assert math.isfinite(result.equity)
        except BotError as e:
            tells(e)
        finally:
            session.close()


GOOD_PAPER = json.dumps(
    {
        "schema_version": 1,
        "given": {"coinbase": "60.50", "kraken": "0"},
        "accounts": {"coinbase": {"core": {"orders_made": 1}, "matched_ms": {}}},
    }
).encode()


@settings(max_examples=EXAMPLES)
@given(CONTENTS | broken(GOOD_PAPER))
def test_paper_accounts_file_of_any_contents_is_read_or_refused_in_words(content: bytes) -> None:
    with folder() as place:
        path = place / "paper_accounts.json"
        path.write_bytes(content)
        try:
            store = PaperStore(JsonStateFile(path, durable=False))
            assert store.traded in (True, False)
            for name in ("coinbase", "kraken"):
                given = store.given(name)
                assert given.is_finite()
                assert given >= 0
                assert store.account(name) is None or isinstance(store.account(name), dict)
        except BotError as e:
            tells(e)


# ---- commands from other processes

GOOD_COMMANDS = [
    json.dumps({"command": name, "at": NOW.isoformat(), **({"reset_drawdown": True} if name == "resume" else {})})
    for name in Command
]


@settings(max_examples=EXAMPLES)
@given(st.lists(CONTENTS | st.sampled_from(GOOD_COMMANDS).map(str.encode).flatmap(broken), max_size=4))
def test_control_files_of_any_contents_are_obeyed_or_moved_away_once(contents: list[bytes]) -> None:
    with folder() as place:
        for number, content in enumerate(contents):
            (place / f"{number:019d}-aa.json").write_bytes(content)
        queue = ControlQueue(place)
        for entry in queue.take_all():
            assert entry["command"] in list(Command)
            assert isinstance(entry["at"], str)
            assert ("reset_drawdown" in entry) == (entry["command"] == "resume")
            assert isinstance(entry.get("reset_drawdown", False), bool)
        assert queue.take_all() == []
        assert [path for path in place.iterdir() if path.suffix == ".json"] == []
        queue.put("halt", now=NOW)
        assert [entry["command"] for entry in queue.take_all()] == ["halt"]


# ---- candles

DAY = 86_400_000
FIRST = 1_700_006_400_000
GOOD_CANDLES = "\n".join(
    [COLUMNS, *(f"{FIRST + day * DAY},100.5,{110 + day},90.25,{101 + day},12.5" for day in range(6)), ""]
).encode()


def _mutated_lines(seed: int) -> bytes:
    chance = random.Random(seed)
    lines = GOOD_CANDLES.split(b"\n")
    for _ in range(chance.choice((1, 1, 2, 3))):
        place = chance.randrange(len(lines))
        fields = lines[place].split(b",")
        at = chance.randrange(len(fields))
        strange = (
            b"",
            b"-1",
            b"0",
            b"nan",
            b"inf",
            b"1e400",
            b"1_0",
            b" 7 ",
            b"x",
            b'"5"',
            b"\xff",
            b"1,2",
            b"9" * 1100,
        )
        match chance.randrange(7):
            case 0:
                fields[at] = chance.choice(strange)
                lines[place] = b",".join(fields)
            case 1:
                del fields[at]
                lines[place] = b",".join(fields)
            case 2:
                lines.insert(place, lines[place])
            case 3:
                del lines[place]
            case 4:
                lines[place] = lines[place][: chance.randrange(len(lines[place]) + 1)]
            case 5:
                other = chance.randrange(len(lines))
                lines[place], lines[other] = lines[other], lines[place]
            case _:
                lines[place] += chance.choice((b"\r", b",", b"\x00", b" "))
        lines = lines or [b""]
    return b"\n".join(lines)


@settings(max_examples=2 * EXAMPLES)
@given(st.binary(max_size=200) | SEEDS.map(_mutated_lines), st.sampled_from(["plain", "packed", "cut"]))
def test_candle_file_of_any_contents_is_a_sound_series_or_refused_in_words(content: bytes, form: str) -> None:
    packed = gzip.compress(content, 1, mtime=0)
    with folder() as place:
        path = place / ("a.csv" if form == "plain" else "a.csv.gz")
        path.write_bytes({"plain": content, "packed": packed, "cut": packed[: len(packed) * 2 // 3]}[form])
        try:
            series = read_candle_file(path, "1d").series
        except CandleDataError as e:
            tells(e, "a.csv")
            return
        bars = series.between(0, len(series))
        assert [bar.open_ms for bar in bars] == sorted({bar.open_ms for bar in bars})
        for bar in bars:
            assert all(map(math.isfinite, bar)), bar
            assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high, bar
            assert bar.volume >= 0, bar
            assert bar.open_ms % DAY == 0, bar


# ---- the ledger and the copy of the markets


@settings(max_examples=EXAMPLES)
@given(SEEDS)
def test_ledger_with_broken_bytes_is_opened_or_refused_in_words_and_never_replaced(simulated: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray((simulated / "simulated" / "ledger.sqlite3").read_bytes())
    for _ in range(chance.choice((1, 8, 200))):
        content[chance.choice((chance.randrange(len(content)), chance.randrange(200)))] = chance.randrange(256)
    del content[chance.choice((len(content), len(content), chance.randrange(len(content)))) :]
    with folder() as place:
        path = place / "ledger.sqlite3"
        path.write_bytes(content)
        try:
            with SqliteLedger(path, durable=False) as ledger:
                ledger.book_events()
                ledger.live_orders()
        except LedgerError as e:
            tells(e, "ledger.sqlite3")
        assert path.stat().st_size > 0 or not content


@settings(max_examples=EXAMPLES)
@given(CONTENTS)
def test_market_copy_of_any_contents_is_markets_or_none(content: bytes) -> None:
    with folder() as place:
        path = place / "kraken.json"
        path.write_bytes(content)
        copy = MarketCopy(JsonStateFile(path, durable=False))
        try:
            markets, at = copy.load()
        except StateFileError as e:
            tells(e, "newer")
            return
        assert isinstance(at, str)
        assert all(isinstance(market, dict) for market in markets)
        copy.save([{"symbol": "BTC/USD"}], NOW)
        assert copy.load() == ([{"symbol": "BTC/USD"}], NOW.isoformat())
