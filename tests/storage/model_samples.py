"""A model card that several tests read, write and show."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bot.domain.model_card import Evaluation, ModelCard

UNARMED = Evaluation(
    from_at=datetime(2020, 1, 7, tzinfo=UTC),
    to_at=datetime(2024, 12, 7, tzinfo=UTC),
    signals=3_720,
    events=1_072,
    wins=1_800,
    auc=0.486,
    auc_low=0.45,
    auc_high=0.53,
    brier=0.2615,
    base_brier=0.2461,
    confident=16,
    confident_wins=7,
    shuffled_auc=0.621,
    in_sample_auc=0.64,
)

CARD = ModelCard(
    predicts="whether an entry ends above its costs",
    trained_at=datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
    features=("momentum", "volume"),
    means=(0.1, -1.25),
    scales=(1 / 3, 2.0),
    weights=(0.5, -0.25),
    intercept=-0.2,
    source="binance",
    coins=("BTC", "ETH"),
    from_at=datetime(2017, 8, 17, tzinfo=UTC),
    to_at=datetime(2025, 1, 1, tzinfo=UTC),
    files=(("binance_BTC-USDT_1d.csv.gz", "ab" * 32), ("binance_ETH-USDT_1d.csv.gz", "cd" * 32)),
    fee_in_frac=0.0025,
    fee_out_frac=0.004,
    slippage_frac=0.001,
    signals=4_130,
    wins=2_065,
    evaluation=UNARMED,
    limits=("It has seen daily candles only.",),
)

ARMED = replace(CARD, evaluation=replace(UNARMED, auc=0.58, auc_low=0.54, auc_high=0.62, brier=0.24))
