"""The trained model in words, word for word."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from model_samples import ARMED, CARD

from bot.views.model_text import card_words


def test_words_on_a_model_that_is_not_armed() -> None:
    assert card_words(CARD) == [
        "AI model: not armed (AUC 0.49, 90 % range 0.45 to 0.53, must exceed 0.55; Brier 0.262 against 0.246, must be "
        "below; 1,072 events of at least 200); it abstains",
        "It predicts whether an entry ends above its costs.",
        "Trained 2025-01-02 on 4,130 signals of BTC, ETH (binance, 2017-08-17 to 2025-01-01, fees 0.25 % in, "
        "0.4 % out); 50 % of them ended above their costs.",
        "Tested on 3,720 later signals, 1,072 without overlap. Of 16 with a probability of 0.70 or more 7 ended above "
        "their costs.",
        "No evidence: AUC 0.62 by shuffled cross-validation, 0.64 in sample.",
    ]


def test_words_on_a_model_that_is_armed() -> None:
    assert card_words(ARMED)[0] == (
        "AI model: armed (AUC 0.58, 90 % range 0.54 to 0.62, must exceed 0.55; Brier 0.240 against 0.246, must be "
        "below; 1,072 events of at least 200)"
    )


def test_words_without_a_model() -> None:
    assert card_words(None) == ["AI model: none is trained; it abstains"]
