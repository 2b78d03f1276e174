"""Whatever stands in a .env, the answer is Settings or ConfigError."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.errors import ConfigError
from bot.settings import Settings, load_settings, render_env_template
from bot.settings_schema import ALIASES, SETTINGS

TEMPLATE = render_env_template().encode()
NAMES = st.sampled_from([*SETTINGS, *ALIASES])
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.floats().map(str),
    st.integers().map(str),
    st.sampled_from(["", "True", "BTC,ETH", '"', "'", '"a\nb"', "-----BEGIN X-----", "~nobody/x", "http://[", "1e5"]),
)
LINES = st.tuples(st.sampled_from(["", "export ", " ", "# "]), NAMES, st.sampled_from(["=", " = ", "", ":"]), VALUES)


def load(content: bytes) -> Settings | ConfigError:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".env"
        path.write_bytes(content)
        try:
            return load_settings(env_file=path, environ={})
        except ConfigError as e:
            return e


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(st.characters(exclude_categories=["Cs"])).map(str.encode)))
def test_any_bytes_give_settings_or_config_error(content: bytes) -> None:
    load(content)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_template_with_broken_bytes_gives_settings_or_config_error(seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(TEMPLATE)
    for _ in range(chance.choice((1, 5, 50))):
        content[chance.randrange(len(content))] = chance.choice((chance.randrange(256), 0, 10, 34, 39, 61, 255))
    del content[chance.choice((len(content), chance.randrange(len(content)))) :]
    load(bytes(content))


@settings(deadline=None, max_examples=200)
@given(st.lists(LINES.map("".join), max_size=8))
def test_any_values_of_known_names_give_settings_or_config_error(lines: list[str]) -> None:
    load("\n".join(lines).encode())


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([name for name in SETTINGS if not name.endswith(("_KEY", "_SECRET"))]), VALUES)
def test_any_environment_value_keeps_the_promises_or_is_refused(name: str, text: str) -> None:
    try:
        found = load_settings(env_file=None, environ={name: text})
    except ConfigError:
        return
    assert 0.5 <= found.daily_max_loss <= 6
    assert 1 <= found.max_drawdown <= 12
    assert 1 <= found.max_position_pct <= 18
    assert 15 <= found.force_cash_buffer < 100
    assert 1 <= found.max_consecutive_losses <= 3
    assert found.min_balance_to_trade >= 15
    assert found.risk_per_trade is None or 0 < found.risk_per_trade <= 6
    assert found.min_risk_reward >= 1.8


@settings(deadline=None)
@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="'\"#\\`")).map("s3cr3t-{}".format)
)
def test_any_secret_is_kept_and_never_shown(secret: str) -> None:
    found = load(f"KRAKEN_MASTER_API_SECRET='{secret}'\nPOLL_SECONDS=60".encode())
    assert isinstance(found, Settings)
    assert found.kraken_master_api_secret.reveal() in (secret, "")
    assert secret not in repr(found)
    assert secret not in str(load(f"KRAKEN_MASTER_API_SECRET='{secret}'\nPOLL_SECONDS=0".encode()))
