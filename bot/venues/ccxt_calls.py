"""How an exchange's client is called: one request at a time, reads tried again, secrets kept out of every text.

ccxt's classes stay as they are; a subclass puts one lock around signing and sending, because a Kraken key must
never have two private calls under way (their nonces overtake each other).
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import localcontext
from types import FrameType, ModuleType
from typing import Any, NoReturn, TypeVar

import tenacity
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from bot.domain.errors import VenueError
from bot.ports import Outcome, Rejected, Unknown

ATTEMPTS = 3
"""Of a read; orders and cancellations are sent once, whatever happens."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 4.0
WHOLE_ANSWER_S = 30.0
"""For one request. The client's own timeout starts anew with every byte that comes: a trickle would never end."""
COMPLAINT_PAUSE_S = 15.0
"""After a complaint about too many calls, where one is waited out."""
_REASON_MAX = 300

T = TypeVar("T")


def locked_class(plain: type[Any]) -> type[Any]:
    """A subclass of an exchange's class whose requests are signed and sent one after the other, each within its time.

    ``fetch`` raises VenueError where the whole answer has not come within ``whole_answer_s``.
    """

    class Locked(plain):  # type: ignore[misc]  # ccxt carries no types
        whole_answer_s = WHOLE_ANSWER_S

        def __init__(self, config: dict[str, Any]) -> None:
            self.one_at_a_time = threading.RLock()
            super().__init__(config)

        def fetch2(self, *args: Any, **kwargs: Any) -> Any:
            with self.one_at_a_time:
                return super().fetch2(*args, **kwargs)

        def fetch(self, *args: Any, **kwargs: Any) -> Any:
            with _deadline(self.whole_answer_s):
                return super().fetch(*args, **kwargs)

    Locked.__name__ = plain.__name__
    return Locked


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise VenueError in the block when its time is up, whatever it waits for: name, handshake, headers or body.

    An alarm signal, because nothing else ends a wait inside the libraries without a thread for each request. Only the
    main thread can have one; the bot sends nothing from any other.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> NoReturn:
        raise VenueError(f"no whole answer within {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        # One that rings just now is raised here, where the caller still expects it; no other comes after it.
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def _apart(call: Callable[[], T]) -> T:
    """Call with a decimal context of its own: ccxt changes rounding and traps of the one that it finds."""
    with localcontext():
        return call()


class Caller:
    """Calls one client. ``errors`` is ccxt's module of error classes; no text that leaves here holds a secret.

    ``definite`` tells from the venue's own words whether an error that ccxt could not classify means that an
    order was certainly not placed; ``tell`` makes those words short enough for people.
    """

    def __init__(
        self,
        *,
        account: str,
        client: Any,
        errors: ModuleType,
        secrets: Sequence[str],
        definite: Callable[[str], bool],
        tell: Callable[[str], str] = str,
        pause: Callable[[float], None] = tenacity.nap.sleep,
    ) -> None:
        self.account = account
        self.client = client
        self._errors = errors
        # A PEM key may come back line by line.
        pieces = {piece for secret in secrets for piece in (secret, *secret.split("\n"), *secret.split("\\n"))}
        self._secrets = sorted((piece for piece in pieces if len(piece) >= 8), key=len, reverse=True)
        self._definite = definite
        self._tell = tell
        self._not_placed = tuple(
            getattr(errors, name)
            for name in (
                "InsufficientFunds",
                "InvalidOrder",
                "BadRequest",
                "AuthenticationError",  # PermissionDenied and AccountSuspended are kinds of it
                "InvalidNonce",
                "DDoSProtection",
                "RateLimitExceeded",
                "OnMaintenance",
                "NotSupported",
                "ArgumentsRequired",
            )
        )
        self._placed_before = errors.DuplicateOrderId
        self.pause = pause
        # Its debug lines hold the headers of each request, signatures included.
        logging.getLogger("ccxt").setLevel(logging.WARNING)

    def read(self, what: str, call: Callable[[], T], *, waits_out_complaints: bool = False) -> T:
        """Ask, again after a failure of network or venue; raises VenueError where there is no answer.

        A complaint about too many calls ends it, or is waited out: for calls without a key that nobody waits for.
        """
        usual = wait_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S) + wait_random(0, FIRST_PAUSE_S)

        def again(error: BaseException) -> bool:
            return self._worth_another_try(error) or (waits_out_complaints and self._is_complaint(error))

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            return COMPLAINT_PAUSE_S if error is not None and self._is_complaint(error) else usual(state)

        retrying = Retrying(
            retry=retry_if_exception(again),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait,
            reraise=True,
            sleep=self.pause,
        )
        try:
            return retrying(lambda: _apart(call))
        except VenueError as e:
            words = str(e).removeprefix(f"{self.account}: ")
            raise VenueError(f"{self.account}: {what}: {self.hide(words)}") from None
        except Exception as e:  # noqa: BLE001 - ccxt raises anything: ValueError for a key, KeyError for a foreign body
            raise VenueError(f"{self.account}: {what}: {self.words(e)}") from None  # the chain would show the secret

    def send(self, call: Callable[[], T]) -> T | Outcome:
        """Send an order once; an error becomes the outcome that it stands for."""
        try:
            return _apart(call)
        except self._placed_before as e:  # by an answer that was lost; a kind of InvalidOrder
            return Unknown(reason=self.words(e))
        except self._not_placed as e:
            return Rejected(reason=self.words(e))
        except self._errors.BaseError as e:
            is_plain = not isinstance(e, self._errors.NetworkError)
            # str(e), for a shortened text might lack the very words that decide.
            definite = is_plain and self._definite(str(e))
            return Rejected(reason=self.words(e)) if definite else Unknown(reason=self.words(e))
        except Exception as e:  # noqa: BLE001 - a foreign body can break the client's parsing after the order was placed
            return Unknown(reason=self.words(e))

    def send_cancel(self, call: Callable[[], Outcome]) -> Outcome:
        """Send a cancellation once; after any error nobody knows whether the order still rests."""
        try:
            return _apart(call)
        except Exception as e:  # noqa: BLE001 - whatever broke, the order may rest
            return Unknown(reason=self.words(e))

    def _worth_another_try(self, error: BaseException) -> bool:
        # A venue that has locked the key out is not asked again at once: that would prolong it.
        return isinstance(error, self._errors.NetworkError) and not self._is_complaint(error)

    def _is_complaint(self, error: BaseException) -> bool:
        """Whether the venue says that it is asked too often."""
        return isinstance(error, (self._errors.DDoSProtection, self._errors.RateLimitExceeded))

    def is_a(self, error: BaseException, name: str) -> bool:
        """Whether an error is of a class of ccxt's tree."""
        return isinstance(error, getattr(self._errors, name))

    def words(self, error: BaseException) -> str:
        """What an error says, on one line, without any secret."""
        return self.hide(f"{type(error).__name__}: {self._tell(str(error))}")

    def hide(self, text: str) -> str:
        """The text without any secret, on one line of bounded length."""
        for secret in self._secrets:
            text = text.replace(secret, "(hidden)")
        text = " ".join(text.split())
        return text if len(text) <= _REASON_MAX else text[:_REASON_MAX] + "..."
