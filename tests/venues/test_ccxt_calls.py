"""How clients are called: one at a time, reads tried again, orders once, no secret in any text."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Underflow, getcontext, localcontext
from typing import Any

import pytest

from bot.domain.errors import VenueError
from bot.ports import Accepted, Outcome, Rejected, Unknown
from bot.venues.ccxt_calls import ATTEMPTS, Caller, locked_class
from bot.venues.ccxt_loader import load_exchange_classes

ERRORS = load_exchange_classes().errors
KEY = "organizations/1234abcd/apiKeys/5678efgh"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBsecretline1\nAwEHoUQDQgAEsecretline2==\n-----END EC PRIVATE KEY-----\n"


def new_caller(
    *, definite: Callable[[str], bool] = lambda _: False, tell: Callable[[str], str] = str
) -> tuple[Caller, list[float]]:
    pauses: list[float] = []
    caller = Caller(
        account="coinbase",
        client=None,
        errors=ERRORS,
        secrets=[KEY, PEM, ""],
        definite=definite,
        tell=tell,
        pause=pauses.append,
    )
    return caller, pauses


class Scripted:
    """A call that raises the listed errors, one a call, then answers 7."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


# ---- reads


def test_read_after_two_network_errors_answers_and_pauses_longer_each_time() -> None:
    caller, pauses = new_caller()
    call = Scripted(ERRORS.RequestTimeout("slow"), ERRORS.ExchangeNotAvailable("503"))
    assert caller.read("prices", call) == 7
    # 0.5 s, then 1 s, each with up to 0.5 s by chance
    first, second = pauses
    assert 0.5 <= first <= 1.0 <= second <= 1.5


def test_read_failing_for_good_is_given_up_with_account_and_question_in_the_words() -> None:
    caller, pauses = new_caller()
    call = Scripted(*[ERRORS.NetworkError("no way there")] * 9)
    with pytest.raises(VenueError, match=r"^coinbase: prices: NetworkError: no way there$"):
        caller.read("prices", call)
    assert (call.calls, len(pauses)) == (ATTEMPTS, ATTEMPTS - 1)


@pytest.mark.parametrize("name", ["DDoSProtection", "RateLimitExceeded", "AuthenticationError", "ExchangeError"])
def test_read_refused_for_a_reason_is_not_tried_again(name: str) -> None:
    caller, pauses = new_caller()
    call = Scripted(getattr(ERRORS, name)("no"))
    with pytest.raises(VenueError, match=name):
        caller.read("prices", call)
    assert (call.calls, pauses) == (1, [])


@pytest.mark.parametrize("name", ["DDoSProtection", "RateLimitExceeded"])
def test_read_that_nobody_waits_for_waits_out_a_complaint_about_the_rate(name: str) -> None:
    caller, pauses = new_caller()
    call = Scripted(getattr(ERRORS, name)("slower"), ERRORS.NetworkError("no way there"))
    assert caller.read("candles", call, waits_out_complaints=True) == 7
    assert pauses[0] == 15.0
    assert 1.0 <= pauses[1] <= 1.5
    call = Scripted(*[getattr(ERRORS, name)("slower")] * 9)
    with pytest.raises(VenueError, match=f"{name}: slower"):
        caller.read("candles", call, waits_out_complaints=True)
    assert call.calls == ATTEMPTS


@pytest.mark.parametrize("error", [KeyError("price"), ValueError("Unable to load PEM file"), TypeError("None")])
def test_read_broken_by_a_foreign_body_is_a_venue_error(error: Exception) -> None:
    caller, _ = new_caller()
    with pytest.raises(VenueError, match=f"coinbase: prices: {type(error).__name__}"):
        caller.read("prices", Scripted(error))


@pytest.mark.parametrize("words", ["half an answer", "coinbase: half an answer"])
def test_read_that_raises_a_venue_error_says_once_who_did_not_answer_what(words: str) -> None:
    caller, _ = new_caller()
    with pytest.raises(VenueError, match=r"^coinbase: prices: half an answer$"):
        caller.read("prices", Scripted(VenueError(words)))


# ---- orders and cancellations

NOT_PLACED = [
    "InsufficientFunds",
    "InvalidOrder",
    "BadRequest",
    "BadSymbol",
    "AuthenticationError",
    "PermissionDenied",
    "AccountSuspended",
    "InvalidNonce",
    "DDoSProtection",
    "RateLimitExceeded",
    "OnMaintenance",
    "NotSupported",
    "ArgumentsRequired",
]
MAYBE_PLACED = ["DuplicateOrderId", "RequestTimeout", "NetworkError", "ExchangeNotAvailable", "ExchangeError"]


@pytest.mark.parametrize("name", NOT_PLACED)
def test_send_refused_by_class_is_rejected(name: str) -> None:
    caller, _ = new_caller()
    call = Scripted(getattr(ERRORS, name)("no"))
    assert caller.send(call) == Rejected(reason=f"{name}: no")
    assert call.calls == 1


@pytest.mark.parametrize("name", MAYBE_PLACED)
def test_send_that_may_have_arrived_is_unknown_and_sent_once(name: str) -> None:
    caller, pauses = new_caller()
    call = Scripted(getattr(ERRORS, name)("hm"))
    assert caller.send(call) == Unknown(reason=f"{name}: hm")
    assert (call.calls, pauses) == (1, [])


@pytest.mark.parametrize("error", [KeyError("txid"), TypeError("NoneType"), VenueError("no success_response")])
def test_send_answered_by_a_foreign_body_is_unknown(error: Exception) -> None:
    caller, _ = new_caller()
    assert isinstance(caller.send(Scripted(error)), Unknown)


def test_send_with_a_definite_word_is_rejected_only_where_the_exchange_has_said_it() -> None:
    caller, _ = new_caller(definite=lambda text: "POST_ONLY" in text)
    assert isinstance(caller.send(Scripted(ERRORS.ExchangeError("POST_ONLY"))), Rejected)
    assert isinstance(caller.send(Scripted(ERRORS.ExchangeError("INTERNAL"))), Unknown)
    # The same word in front of a 503: what was behind it is not known.
    assert isinstance(caller.send(Scripted(ERRORS.ExchangeNotAvailable("POST_ONLY"))), Unknown)


def test_send_is_judged_by_the_whole_text_and_told_in_a_short_one() -> None:
    caller, _ = new_caller(definite=lambda text: text.endswith("POST_ONLY"), tell=lambda text: text[-9:])
    outcome = caller.send(Scripted(ERRORS.ExchangeError("x" * 5_000 + "POST_ONLY")))
    assert outcome == Rejected(reason="ExchangeError: POST_ONLY")


def test_send_that_works_gives_the_answer() -> None:
    caller, _ = new_caller()
    assert caller.send(Scripted()) == 7


@pytest.mark.parametrize("name", [*NOT_PLACED, *MAYBE_PLACED])
def test_cancellation_after_any_error_is_unknown(name: str) -> None:
    """A key that was refused or a limit that was hit says nothing about whether the order still rests."""
    caller, pauses = new_caller(definite=lambda _: True)
    call = Scripted(getattr(ERRORS, name)("no"))

    def cancel() -> Outcome:
        call()
        return Accepted(venue_order_id="1")

    assert caller.send_cancel(cancel) == Unknown(reason=f"{name}: no")
    assert (call.calls, pauses) == (1, [])
    assert caller.send_cancel(cancel) == Accepted(venue_order_id="1")


# ---- secrets

LEAKS = {
    "whole": PEM,
    "escaped": json.dumps({"secret": PEM}),
    "without line ends": PEM.replace("\n", " "),
    "one line": "Bad line: AwEHoUQDQgAEsecretline2==",
    "key": f"GET https://x/{KEY}",
}


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS.keys())
def test_secret_in_an_error_reaches_no_text_and_no_traceback(text: str) -> None:
    caller, _ = new_caller()
    outcome = caller.send(Scripted(ValueError(text)))
    with pytest.raises(VenueError) as caught:
        caller.read("prices", Scripted(ValueError(text)))
    shown = "".join(traceback.format_exception(caught.value))
    for leaked in (str(outcome), str(caught.value), shown):
        assert "(hidden)" in leaked
        assert not any(part in leaked for part in ("secretline1", "secretline2", "1234abcd"))


def test_words_are_one_line_of_bounded_length() -> None:
    caller, _ = new_caller()
    assert caller.hide("a\n  b\tc") == "a b c"
    assert len(caller.hide("x" * 5_000)) == 303  # 300 and three dots


def test_headers_of_requests_are_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("ccxt"), "level", logging.DEBUG)
    logging.getLogger("ccxt").manager._clear_cache()  # type: ignore[attr-defined]  # the level was set behind its back
    new_caller()
    assert not logging.getLogger("ccxt.base.exchange").isEnabledFor(logging.DEBUG)


# ---- one at a time


class Plain:
    """As much of an exchange as the lock needs."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.while_sending: Callable[[], None] = lambda: None

    def fetch2(self, path: str, *, times: int = 1) -> str:
        self.while_sending()
        return path * times


def could_enter_elsewhere(client: Any) -> bool:
    """Whether another thread could send a request of this client now."""
    entered: list[bool] = []
    other = threading.Thread(target=lambda: entered.append(client.one_at_a_time.acquire(blocking=False)))
    other.start()
    other.join()
    return entered == [True]


def test_locked_class_lets_no_second_request_in_while_one_is_under_way() -> None:
    client = locked_class(Plain)({"apiKey": "k"})
    seen: list[bool] = []
    client.while_sending = lambda: seen.append(could_enter_elsewhere(client))
    assert client.fetch2("a", times=2) == "aa"
    assert seen == [False]
    assert could_enter_elsewhere(client)


def test_locked_class_is_free_again_after_an_error_and_keeps_its_name() -> None:
    client = locked_class(Plain)({})
    client.while_sending = Scripted(KeyError("x"))
    with pytest.raises(KeyError):
        client.fetch2("a")
    assert could_enter_elsewhere(client)
    assert type(client).__name__ == "Plain"
    assert isinstance(client, Plain)


def test_calls_leave_the_decimal_context_as_it_was() -> None:
    # decimal_to_precision of ccxt sets rounding and a trap of the context that it finds.
    def change() -> int:
        getcontext().rounding = ROUND_HALF_UP
        getcontext().traps[Underflow] = True
        return 1

    caller, _ = new_caller()
    with localcontext() as context:
        context.rounding, context.traps[Underflow] = ROUND_HALF_EVEN, False
        assert (caller.read("x", change), caller.send(change)) == (1, 1)
        assert (getcontext().rounding, getcontext().traps[Underflow]) == (ROUND_HALF_EVEN, False)
