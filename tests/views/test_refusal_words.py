from __future__ import annotations

import math

import pytest
from view_samples import a_coin, a_refusal

from bot.domain.refusal import RefusalCode
from bot.views.refusals import SENTENCES, explain, explain_refusal, in_words

UNITS = ("usd", "pct", "count", "score", "ratio", "hours", "days", "base")


def test_sentences_every_code_has_one() -> None:
    assert set(SENTENCES) == set(RefusalCode)


@pytest.mark.parametrize("code", list(RefusalCode))
@pytest.mark.parametrize("account", ["", "kraken"])
def test_in_words_every_code_and_unit_gives_two_whole_sentences(code: RefusalCode, account: str) -> None:
    for unit in UNITS:
        for limit, actual in ((5.0, 3.21), (0.0, 0.0), (None, None), (math.inf, math.nan)):
            for sentence in in_words(code, limit=limit, actual=actual, unit=unit, account=account):
                assert sentence[0].isupper(), sentence
                assert sentence.endswith("."), sentence
                assert not {"{", "}"} & set(sentence), sentence
                assert "nan" not in sentence.lower().split(), sentence
                assert "None" not in sentence, sentence


def test_explain_refusal_cash_buffer_is_in_dollars() -> None:
    what, cure = explain_refusal(a_refusal())
    assert what == "Above the cash buffer there is $3.21; the smallest order is $5.00."
    assert cure == "A sale, or a deposit."


def test_explain_refusal_names_the_venue() -> None:
    refusal = a_refusal(RefusalCode.VENUE_DORMANT, account="kraken", limit=50.0, actual=12.5)
    assert explain_refusal(refusal).what == "The account on kraken is worth $12.50; entries there begin at $50.00."
    silent = a_refusal(RefusalCode.VENUE_UNKNOWN, account="kraken")
    assert explain_refusal(silent).what == "Kraken does not answer, so nothing is entered there."


def test_explain_refusal_hours_are_a_time() -> None:
    refusal = a_refusal(RefusalCode.LOSS_STREAK, unit="hours", limit=0.0, actual=5.25)
    assert explain_refusal(refusal).what == "Too many losses in a row: entries pause for another 5 h 15 min."


def test_explain_refusal_no_price_at_all_is_said() -> None:
    refusal = a_refusal(RefusalCode.STALE_DATA, unit="hours", limit=0.25, actual=math.inf)
    assert (
        explain_refusal(refusal).what
        == "The last price from coinbase is an unknown time old; the oldest allowed is 15 min."
    )


def test_explain_refusal_values_that_round_alike_are_told_apart() -> None:
    refusal = a_refusal(RefusalCode.BELOW_MIN_TRADE, limit=5.0, actual=4.998)
    assert explain_refusal(refusal).what.startswith(
        "What target, limits and holdings leave is $4.9980; the smallest order is $5.0000"
    )


def test_explain_coin_without_refusal_is_empty() -> None:
    assert explain(a_coin(refusal="", action="hold")) == ("", "")


def test_explain_coin_gives_its_refusal() -> None:
    assert explain(a_coin()).what == "The score is 0.33; an entry needs 0.75."


@pytest.mark.parametrize(
    ("code", "unit", "limit", "actual", "what"),
    [
        (
            RefusalCode.EDGE_BRAKE,
            "pct",
            25.0,
            13.524,
            "The results so far make an edge 13.52 % likely; below 25.00 % nothing is bought (edge brake).",
        ),
        (
            RefusalCode.FEE_BUDGET,
            "usd",
            5.0,
            3.333,
            "What fees may still cost within 30 days leaves $3.33 for this coin; the smallest order is $5.00.",
        ),
        (
            RefusalCode.RISK_REWARD,
            "ratio",
            1.8,
            1.624,
            "After fees and slippage the reward is 1.62 times the risk; an entry needs 1.80 (MIN_RISK_REWARD).",
        ),
        (
            RefusalCode.NO_BREAKOUT,
            "count",
            3.0,
            0.0,
            "No daily close of the last 3 is above the highest price of the 20 days before it.",
        ),
        (
            RefusalCode.SPREAD,
            "pct",
            0.5,
            0.75,
            "Bid and ask on coinbase are 0.75 % apart; beyond 0.50 % nothing is entered.",
        ),
        (
            RefusalCode.PRICE_DISAGREES,
            "pct",
            2.0,
            2.5,
            "The venues' prices of this coin are 2.50 % apart; beyond 2.00 % nothing is entered.",
        ),
        (
            RefusalCode.ERROR_SHUTOFF,
            "count",
            5.0,
            2.0,
            "Too many cycles failed in a row; entries wait for 5 good ones, of which there are 2 so far.",
        ),
        (
            RefusalCode.FOLLOWS_MASTER,
            "count",
            0.0,
            0.0,
            "This account follows another one (MODE=MASTER_FOLLOW) and enters nothing by itself.",
        ),
    ],
)
def test_explain_refusal_in_the_unit_of_its_code(
    code: RefusalCode, unit: str, limit: float, actual: float, what: str
) -> None:
    assert explain_refusal(a_refusal(code, unit=unit, limit=limit, actual=actual)).what == what


def test_explain_refusal_ratios_that_round_alike_are_told_apart() -> None:
    refusal = a_refusal(RefusalCode.RISK_REWARD, unit="ratio", limit=1.8, actual=1.799)
    assert "1.7990 times the risk; an entry needs 1.8000" in explain_refusal(refusal).what
