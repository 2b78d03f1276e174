"""Whatever a venue answers: a correct value, no answer or an unknown outcome, and right again afterwards."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from fuzz_venues import FuzzBench
from json_mutants import mutated_body
from venue_promises import NO_ANSWER, QUESTIONS, Question, all_is_well, instruments_are_tradable
from wire import Reply, Request

from bot.domain.errors import VenueError
from bot.storage.market_copy import MarketCopy
from bot.storage.state_file import JsonStateFile

SEEDS, SEEDS_LONG = 20, 1500


@cache
def bench_of(account: str) -> FuzzBench:
    """One for all questions: each begins with a new adapter at the same moment."""
    return FuzzBench(account)


def ask(bench: FuzzBench, question: Question, seed: str, *, lies: bool) -> None:
    venue = bench.ready()
    bench.broken.lies = lies
    bench.broken.begin(seed)
    try:
        with suppress(*NO_ANSWER):
            question(bench, venue)
        all_is_well(bench, venue)
    except Exception as e:
        changes = "\n".join(bench.broken.seen)
        raise AssertionError(f"seed {seed!r}, lies {lies}: {type(e).__name__}: {e}\n{changes}") from e
    finally:
        bench.broken.is_on = False


@pytest.mark.parametrize("account", ["coinbase", "kraken"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_broken_answer_leaves_a_value_or_no_answer(question: Question, account: str) -> None:
    for seed in range(SEEDS):
        ask(bench_of(account), question, f"{account} {seed}", lies=bool(seed % 2))


@pytest.mark.long
@pytest.mark.parametrize("account", ["coinbase", "kraken"])
def test_many_broken_answers_leave_a_value_or_no_answer(account: str) -> None:
    for question in QUESTIONS:
        for seed in range(SEEDS, SEEDS_LONG):
            ask(bench_of(account), question, f"{account} {seed}", lies=bool(seed % 2))


@pytest.mark.parametrize("account", ["coinbase", "kraken"])
def test_whole_answers_are_all_well(account: str) -> None:
    """The questions themselves are fair: nothing is found where nothing is broken."""
    bench = bench_of(account)
    for question in QUESTIONS:
        venue = bench.ready()
        bench.broken.begin("whole")
        bench.broken.is_on = False
        question(bench, venue)
        all_is_well(bench, venue)


@pytest.mark.parametrize("account", ["coinbase", "kraken"])
def test_broken_market_copy_is_not_missed_while_the_venue_answers_and_never_ends_the_bot(
    account: str, tmp_path: Path
) -> None:
    bench = FuzzBench(account)
    path = tmp_path / "copy.json"
    bench.copy = MarketCopy(JsonStateFile(path, durable=False))
    whole = bench.ready().instruments()
    good = path.read_bytes()
    for seed in range(5 * SEEDS):
        path.write_bytes(mutated_body(good, random.Random(f"{account} {seed}")))
        bench.broken.is_silent = True
        with suppress(VenueError):
            instruments_are_tradable(bench, bench.new_venue())
        path.write_bytes(mutated_body(good, random.Random(f"{account} {seed}")))
        bench.broken.is_silent = False
        found = bench.new_venue().instruments()
        assert {symbol: found[symbol] for symbol in whole} == whole, seed


@pytest.mark.parametrize("number", ["1e999999", "NaN", "Infinity", "-1", "", None, [], 10**30])
@pytest.mark.parametrize("account", ["coinbase", "kraken"])
def test_balance_that_no_account_can_have_is_no_answer(account: str, number: object) -> None:
    def broken(_request: Request, reply: Reply) -> Reply:
        told = json.loads(reply.body)
        for row in told.get("accounts", []):
            row["available_balance"]["value"] = number
        if "ZUSD" in told.get("result", {}):
            told["result"]["ZUSD"]["balance"] = number
        return Reply(reply.status, json.dumps(told).encode())

    bench = FuzzBench(account)
    venue = bench.ready()
    bench.line.tamper = broken
    with pytest.raises(VenueError):
        venue.balances()
