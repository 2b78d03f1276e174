"""The trained model in words."""

from __future__ import annotations

from bot.domain.model_card import MIN_AUC, MIN_EVENTS, ModelCard

NO_MODEL = "AI model: none is trained; it abstains"


def card_words(card: ModelCard | None) -> list[str]:
    """Say whether it is armed and with which figures, what it predicts, and what it was trained on; a line each."""
    if card is None:
        return [NO_MODEL]
    of = card.evaluation
    figures = (
        f"AUC {of.auc:.2f}, 90 % range {of.auc_low:.2f} to {of.auc_high:.2f}, must exceed {MIN_AUC:.2f}; Brier "
        f"{of.brier:.3f} against {of.base_brier:.3f}, must be below; {of.events:,} events of at least {MIN_EVENTS}"
    )
    state = f"armed ({figures})" if card.armed else f"not armed ({figures}); it abstains"
    fees = f"{card.fee_in_frac * 100:g} % in, {card.fee_out_frac * 100:g} % out"
    return [
        f"AI model: {state}",
        f"It predicts {card.predicts}.",
        f"Trained {card.trained_at:%Y-%m-%d} on {card.signals:,} signals of {', '.join(card.coins)} ({card.source}, "
        f"{card.from_at:%Y-%m-%d} to {card.to_at:%Y-%m-%d}, fees {fees}); {_share(card.wins, card.signals)} of them "
        f"ended above their costs.",
        f"Tested on {of.signals:,} later signals, {of.events:,} without overlap. Of {of.confident:,} with a "
        f"probability of 0.70 or more {of.confident_wins:,} ended above their costs.",
        f"No evidence: AUC {of.shuffled_auc:.2f} by shuffled cross-validation, {of.in_sample_auc:.2f} in sample.",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole * 100:.0f} %" if whole else "none"
