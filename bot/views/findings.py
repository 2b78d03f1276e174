"""Findings in words: what does not agree between a venue and the ledger, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from bot.domain.finding import FindingCode
from bot.domain.snapshot import FindingView
from bot.views.text import INDENT, Line, Look, Style, heading, moment, wrapped

SHOWN_MAX, HEADS_MAX = 8, 4
_C = FindingCode


class FindingWords(NamedTuple):
    """What a code means, in three texts for people."""

    title: str
    """A few words: a column, the title of an alert."""
    answer: str
    """What the bot does about it."""
    cure: str
    """What the user can do; '' where nothing is to be done."""
    accepted: str = ""
    """What ``resume`` does about it; '' where it changes nothing."""


WORDS: Mapping[FindingCode, FindingWords] = MappingProxyType(
    {
        _C.FOREIGN_ORDER: FindingWords(
            "an order that the bot did not send",
            "It is shown and never touched; what it holds cannot be used.",
            "Nothing, where it is yours; else cancel it at the venue, and see who else has a key.",
        ),
        _C.FOREIGN_COINS: FindingWords(
            "coins that the bot did not buy",
            "They are shown, never counted, never touched.",
            "",
        ),
        _C.COINS_MISSING: FindingWords(
            "coins of the bot are missing",
            "They do not count any more, nothing is bought anywhere; what is there stays protected.",
            "Put them back; or cancel your order that holds them; or `python bot.py resume --book-out` takes them out "
            "like a withdrawal, at the price when they were missed (tax lots show them as moved out, also where you "
            "sold).",
            "is booked out like a withdrawal, no sooner than ten minutes after it was missed",
        ),
        _C.LEDGER_TOO_OLD: FindingWords(
            "the ledger is older than its orders",
            "It is a backup: what it had forgotten is taken into it again. Nothing is bought anywhere.",
            "Compare `python bot.py trades` with the venue; then `python bot.py resume`. Where you put no backup back, "
            "a copy of this folder runs somewhere else: end it first.",
            "is taken as it is now",
        ),
        _C.SECOND_BOT: FindingWords(
            "a second bot with a copy of this ledger",
            "Its orders are never touched. Nothing is bought anywhere.",
            "End the other one: only one bot may use an account. Then `python bot.py resume`.",
            "is taken as ended",
        ),
        _C.LEDGER_NEW: FindingWords(
            "the ledger is new, and a bot has run here before",
            "Coins and orders of that time count as foreign: shown, never touched. Nothing is bought anywhere.",
            "Put the old ledger back; or see to those coins and orders at the venue, then `python bot.py resume`.",
            "is begun anew; what was there before stays foreign",
        ),
        _C.FILLS_LATE: FindingWords(
            "fills that the venue has not listed yet",
            "Its coin waits for them; the venue is asked again.",
            "Nothing; where it stays for hours, look at the order at the venue.",
        ),
        _C.STOP_REFUSED: FindingWords(
            "a stop that the venue has refused",
            "The bot watches the price itself, sells at the stop, and asks for the stop again: at once, then after 1, "
            "2, 4 ... 15 minutes.",
            "Keep the bot running: nothing else protects the position. The log has the venue's reason.",
        ),
        _C.OUTCOME_UNKNOWN: FindingWords(
            "an order whose outcome is not known",
            "The venue is asked each cycle; meanwhile its coin waits, and its cash counts as spent.",
            "Nothing; where it stays for hours, look for the order at the venue.",
        ),
    }
)
"""For every code."""


def words_of(finding: FindingView) -> FindingWords:
    """The words for a recorded finding."""
    return WORDS[FindingCode(finding["code"])]


def finding_name(finding: FindingView) -> str:
    """Tell two findings apart."""
    return f"{finding['code']}|{finding['account']}|{finding['about']}"


def finding_head(finding: FindingView) -> str:
    """Say what it is, where, and since when."""
    about = f" ({finding['about']})" if finding["about"] else ""
    since = moment(datetime.fromisoformat(finding["since"]))
    return f"{words_of(finding).title} on {finding['account']}{about}, since {since}"


def finding_sentence(finding: FindingView) -> str:
    """The same as a sentence."""
    head = finding_head(finding)
    return f"{head[:1].upper()}{head[1:]}."


def detail_of(finding: FindingView) -> str:
    """Quantities and prices as a sentence; '' where none were recorded."""
    text = finding["detail"].strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!")) else ".") if text else ""


def finding_lines(findings: Sequence[FindingView], look: Look, *, heads_only: bool = False) -> list[Line]:
    """The section of a status, those that end all entries first; [] where all agrees."""
    ordered = sorted(findings, key=lambda finding: not finding["blocks"])
    return [*_lines(ordered, look, heads_only=heads_only)] if findings else []


def _lines(findings: Sequence[FindingView], look: Look, *, heads_only: bool) -> Iterator[Line]:
    yield from heading("FINDINGS", look)
    most = HEADS_MAX if heads_only else SHOWN_MAX
    for finding in findings[:most]:
        words, inner = words_of(finding), INDENT * 2
        style = Style.BAD if finding["blocks"] else Style.WARN if words.cure else Style.PLAIN
        yield from wrapped(finding_sentence(finding), look, hanging=INDENT, style=style)
        if heads_only:
            continue
        if finding["detail"]:
            yield from wrapped(detail_of(finding), look, indent=inner)
        yield from wrapped(words.answer, look, indent=inner)
        if words.cure:
            yield from wrapped(f"Do: {words.cure}", look, indent=inner, style=Style.DIM)
    if len(findings) > most:
        yield Line(f"{INDENT}and {len(findings) - most} more", Style.DIM)


def finding_document(finding: FindingView) -> dict[str, object]:
    """One finding with its words, for JSON."""
    words = words_of(finding)
    return {**finding, "what": words.title, "answer": words.answer, "cure": words.cure}


def accepted_words(findings: Sequence[FindingView], *, book_out: bool) -> list[str]:
    """What ``resume`` accepts, a sentence each; missing coins with ``book_out`` only."""
    return [
        f"Accepted: {finding_head(finding)}: it {words_of(finding).accepted}. {detail_of(finding)}".rstrip()
        for finding in findings
        if finding["blocks"] and (book_out or finding["code"] != _C.COINS_MISSING)
    ]


def still_missing_words(findings: Sequence[FindingView]) -> list[str]:
    """What a plain ``resume`` leaves as it is, a sentence each."""
    return [
        f"Still stands: {finding_head(finding)}; `resume --book-out` books it out."
        for finding in findings
        if finding["code"] == _C.COINS_MISSING
    ]
