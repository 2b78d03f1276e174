"""What does not agree between venues and ledger, in words: in the status, and what `resume` says that it accepts."""

from __future__ import annotations

from pathlib import Path

import pytest
from view_samples import a_coin, a_finding, a_guard, a_snapshot, a_status, an_order

from bot.domain.finding import BLOCKING, FindingCode
from bot.domain.snapshot import FindingView, OrderView, Snapshot
from bot.views.findings import SHOWN_MAX, WORDS, accepted_words, finding_document, finding_lines
from bot.views.once_text import sleep_lines
from bot.views.refusals import decision_words
from bot.views.status import StatusModel
from bot.views.status_text import render_status
from bot.views.text import Look, Style


def lines_of(*findings: FindingView) -> list[str]:
    return [line.text for line in finding_lines(findings, Look(width=200))]


def status_words(snapshot: Snapshot) -> str:
    return " ".join(" ".join(render_status(a_status(snapshot), Look())).split())


def test_every_code_has_words_and_those_that_block_say_what_resume_does() -> None:
    assert set(WORDS) == set(FindingCode)
    for code, words in WORDS.items():
        assert all((words.title, words.answer)), code
        assert bool(words.cure) is (code is not FindingCode.FOREIGN_COINS)  # those are the user's own
        assert bool(words.accepted) is (code in BLOCKING)
        assert ("resume" in words.cure) is (code in BLOCKING)


def test_finding_is_shown_with_since_when_what_is_done_and_what_to_do() -> None:
    assert lines_of(a_finding())[2:] == [
        "   Coins of the bot are missing on coinbase (BTC/USD), since 2026-03-02 13:42 UTC.",
        "      The books hold 0.0002, the venue 0.0001: 0.0001 worth $10.00 are missing.",
        "      They do not count any more, nothing is bought anywhere; what is there stays protected.",
        "      Do: Put them back; or cancel your order that holds them; or `python bot.py resume --book-out` "
        "takes them out like a withdrawal, at the price when they were missed (tax lots show them as moved",
        "      out, also where you sold).",
    ]


def test_findings_that_end_entries_come_first_and_loud() -> None:
    lines = finding_lines([a_finding("fills_late"), a_finding("ledger_too_old")], Look(width=200))
    heads = [(line.text.strip()[:20], line.style) for line in lines if line.style in (Style.BAD, Style.WARN)]
    assert heads == [("The ledger is older ", Style.BAD), ("Fills that the venue", Style.WARN)]


def test_findings_are_bounded_and_nothing_is_shown_where_all_agrees() -> None:
    many = [a_finding("foreign_order", about=f"id-{number}") for number in range(SHOWN_MAX + 3)]
    assert lines_of(*many)[-1] == "   and 3 more"
    assert sum("id-" in line for line in lines_of(*many)) == SHOWN_MAX
    assert lines_of() == []
    assert "FINDINGS" not in status_words(a_snapshot())


def test_status_shows_findings_and_when_all_was_compared() -> None:
    text = status_words(a_snapshot(findings=[a_finding("outcome_unknown", about="id-7")]))
    assert "An order whose outcome is not known on coinbase (id-7), since 2026-03-02 13:42 UTC." in text
    assert "its cash counts as spent" in text
    assert "last compared with the ledger 4 min ago" in text  # 13:57 to 14:01
    assert "have not been compared with the ledger yet" in status_words(a_snapshot(reconciled_at=None))


def test_screen_that_is_low_keeps_the_findings() -> None:
    model = a_status(a_snapshot(findings=[a_finding()]))
    assert any("Coins of the bot are missing" in line for line in render_status(model, Look(), rows=20))


def test_resume_accepts_what_blocks_and_nothing_else() -> None:
    [text] = accepted_words([a_finding("foreign_coins"), a_finding(), a_finding("outcome_unknown")], book_out=True)
    assert text == (
        "Accepted: coins of the bot are missing on coinbase (BTC/USD), since 2026-03-02 13:42 UTC: it is booked out "
        "like a withdrawal, no sooner than ten minutes after it was missed. "
        "The books hold 0.0002, the venue 0.0001: 0.0001 worth $10.00 are missing."
    )


def test_document_has_the_recorded_finding_and_its_words() -> None:
    document = finding_document(a_finding("ledger_new", detail=""))
    assert (document["code"], document["blocks"]) == ("ledger_new", True)
    assert document["what"] == "the ledger is new, and a bot has run here before"


ENTRY = an_order(purpose="entry", side="buy", type="limit")


@pytest.mark.parametrize(
    ("action", "held", "orders", "rests_no_more"),
    [
        ("enter", 0.0, [ENTRY], False),
        ("enter", 0.0, [], True),  # it was cancelled
        ("enter", 0.0, [an_order()], True),  # a stop is no entry
        ("enter", 0.0, [{**ENTRY, "symbol": "BTC/USDC"}], False),  # bought for the other dollar
        ("enter", 0.0, [{**ENTRY, "symbol": "ETH/USD"}], True),
        ("enter", 18.0, [], False),  # it was filled
        ("add", 18.0, [], True),
        ("exit", 0.0, [], False),
    ],
)
def test_decision_to_buy_says_so_once_its_order_rests_no_more(
    action: str, held: float, orders: list[OrderView], rests_no_more: bool
) -> None:
    words = decision_words(a_coin(action=action, refusal="", held_usd=held), orders)
    assert words.startswith("The last decision was to ")
    assert ("No order for it rests any more" in words) is rests_no_more


def positions_line(model: StatusModel) -> str:
    return next(line for line in render_status(model, Look()) if "positions  " in line)


def test_positions_before_the_first_tier_are_not_measured_against_zero() -> None:
    first = a_status(a_snapshot(guards=[a_guard("positions", 0.0, 0.0, unit="count")]))
    assert "positions" in positions_line(first)
    assert positions_line(first).endswith(
        "   0; how many are allowed follows with the first"
    )  # and "tier" on the next line
    later = a_status(a_snapshot(guards=[a_guard("positions", 0.0, 2.0, unit="count")]))
    assert positions_line(later).endswith("0 of 2")


@pytest.mark.parametrize("code", list(FindingCode))
def test_guide_says_what_happens_for_every_code(code: FindingCode) -> None:
    guide = (Path(__file__).resolve().parents[2] / "MICRO_MASTER_GUIDE.md").read_text(encoding="utf-8")
    assert f"`{code.value}`" in guide.split("## When things go wrong")[1].split("\n## ")[0]


def test_single_run_says_at_its_end_what_ends_all_entries() -> None:
    lines = sleep_lines(a_snapshot(findings=[a_finding("fills_late"), a_finding("ledger_new")]))
    assert [line for line in lines if line.startswith("NOTHING IS BOUGHT")] == [
        "NOTHING IS BOUGHT: the ledger is new, and a bot has run here before on coinbase (BTC/USD), since 2026-03-02 "
        "13:42 UTC. Put the old ledger back; or see to those coins and orders at the venue, then `python bot.py "
        "resume`."
    ]
