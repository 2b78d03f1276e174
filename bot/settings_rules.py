"""How the text of one setting becomes a value: the rules behind the table in ``settings_schema``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit


class Secret:
    """A text that never shows itself; only ``reveal()`` gives it away. Falsy when empty."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the venue's client and nothing else."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "set (hidden)" if self._text else "not set"


class Rule(Protocol):
    """Turns text into a value; ValueError carries a hint, or nothing where ``allowed`` says it all."""

    @property
    def allowed(self) -> str:
        """What is allowed, to follow "must be"."""
        ...

    def __call__(self, text: str) -> object:
        """Parse ``text``."""
        ...


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_MAX_NUMBER_LENGTH = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRule:
    """A number in a closed range. ``promise`` names the end beyond which a promise would be loosened."""

    noun: str
    low: Decimal
    high: Decimal
    convert: Callable[[Decimal], object]
    promise: str = ""
    """``floor``, ``ceiling`` or ''."""
    fraction_trap: Decimal = Decimal(0)
    """Where a value below 1, times 100, is at most this, the user meant percent and wrote a fraction."""
    percent_trap: bool = False
    """Whether a value above the range, divided by 100, was meant as a fraction and written in percent."""
    none_for_empty: bool = False

    @property
    def allowed(self) -> str:
        """Noun and range."""
        empty = ", or empty for the tier's own" if self.none_for_empty else ""
        return f"{self.noun} from {self.low} to {self.high}{empty}"

    def __call__(self, text: str) -> object:
        """Parse, or raise ValueError with a hint."""
        if self.none_for_empty and not text:
            return None
        if not _NUMBER.fullmatch(text) or len(text) > _MAX_NUMBER_LENGTH:
            bare = text.strip("$% ").replace(",", "")
            raise ValueError("write the number alone" if bare != text and _NUMBER.fullmatch(bare) else "")
        number = Decimal(text)
        self._check_unit(number)
        if not self.low <= number <= self.high:
            loosened = self.promise == ("floor" if number < self.low else "ceiling")
            raise ValueError("this limit can be tightened, not loosened" if loosened else "")
        if self.convert is int and number != number.to_integral_value():
            raise ValueError("no part of one is possible")
        return self.convert(number)

    def _check_unit(self, number: Decimal) -> None:
        as_percent, as_fraction = number * 100, number / 100
        if 0 < number < 1 and self.low <= as_percent <= self.fraction_trap:
            raise ValueError(f"did you mean {as_percent.normalize():f}?")
        if self.percent_trap and number > self.high and self.low <= as_fraction <= self.high:
            raise ValueError(f"did you mean {as_fraction.normalize():f}?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRule:
    """One of a few words, in any case."""

    choices: tuple[StrEnum, ...]

    @property
    def allowed(self) -> str:
        """The words."""
        return "one of " + ", ".join(self.choices)

    def __call__(self, text: str) -> object:
        """Parse, or raise ValueError."""
        for choice in self.choices:
            if text.upper() == choice.upper():
                return choice
        raise ValueError


_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class SwitchRule:
    """True or False in the usual spellings."""

    allowed = "True or False"

    def __call__(self, text: str) -> bool:
        """Parse, or raise ValueError."""
        word = text.lower()
        if word not in _TRUE | _FALSE:
            raise ValueError
        return word in _TRUE


KNOWN_COINS = ("BTC", "ETH", "SOL")


class CoinsRule:
    """Coins as CSV or JSON list; ``[BTC,ETH]`` too, which is what a shell leaves of a JSON list."""

    allowed = "one or more of BTC, ETH, SOL, separated by commas"

    def __call__(self, text: str) -> tuple[str, ...]:
        """Parse, or raise ValueError."""
        inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        coins = tuple(dict.fromkeys(item.strip(" '\"").upper() for item in inner.split(",")))
        for coin in coins:
            if coin not in KNOWN_COINS:
                raise ValueError
        return coins


LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class UrlRule:
    """The address of a proxy or a local exchange; keys never travel over another machine's plain http."""

    allowed = "an https:// address (http:// only on this machine: localhost, 127.0.0.1, [::1]), or empty"

    def __call__(self, text: str) -> str:
        """Parse, or raise ValueError."""
        if not text:
            return text
        try:
            url = urlsplit(text)
            host, _port = url.hostname, url.port
        except ValueError as e:
            # The library's own text may repeat what was found.
            raise ValueError("this is no address") from e
        if not host or "@" in url.netloc or not text.isprintable() or " " in text:
            raise ValueError
        if url.scheme != "https" and not (url.scheme == "http" and host in LOOPBACK_HOSTS):
            raise ValueError
        return text.rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUrlsRule:
    """Addresses that hold tokens: read like a secret, shown never."""

    one_web_address: bool = False

    @property
    def allowed(self) -> str:
        """What is allowed."""
        if self.one_web_address:
            return UrlRule.allowed
        return "addresses such as tgram://token/chat or mailto://user:password@host, separated by spaces or commas"

    def __call__(self, text: str) -> Secret:
        """Parse, or raise ValueError; nothing of the text is repeated."""
        text = text.strip("\"'")
        if self.one_web_address:
            return Secret(str(UrlRule()(text)))
        urls = text.replace(",", " ").split()
        if not all(re.match(r"[a-z][a-z0-9+.-]*://\S", url, flags=re.IGNORECASE) for url in urls):
            raise ValueError
        return Secret(" ".join(urls))


class PathRule:
    """A folder; ``~`` is the home folder."""

    allowed = "a folder"

    def __call__(self, text: str) -> Path:
        """Parse, or raise ValueError."""
        if not text or not text.isprintable():
            raise ValueError
        try:
            return Path(text).expanduser()
        except RuntimeError as e:
            raise ValueError("there is no such home folder") from e


class SecretRule:
    """A key or secret. A PEM key may have real line ends, or a backslash and an n for each."""

    allowed = "the text that the exchange gave you"

    def __call__(self, text: str) -> Secret:
        """Parse, or raise ValueError where a PEM key was cut off."""
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            # docker --env-file hands quotes on as a part of the value.
            text = text[1:-1]
        if text.startswith("-----BEGIN"):
            text = text.replace("\\n", "\n").replace("\r\n", "\n")
            if "-----END" not in text:
                raise ValueError("the private key has no END line: put the whole key into double quotes")
        return Secret(text)
