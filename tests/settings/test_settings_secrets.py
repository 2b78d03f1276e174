"""Secrets are read in every form and shown in none."""

from __future__ import annotations

import copy
import dataclasses
import os
import traceback
from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.settings import Secret, Settings, describe, load_settings, secret_file_is_private

# Made up for these tests: they open nothing.
BODY = "MHcCAQEEIBkg0notarealkey0notarealkey0notarealkey0oAoGCCqGSM49AwEHo"
PEM = f"-----BEGIN EC PRIVATE KEY-----\n{BODY}\nAAAAzzzz9876==\n-----END EC PRIVATE KEY-----"
KRAKEN = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="


def write(folder: Path, content: str, name: str = ".env") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def load(folder: Path, content: str) -> Settings:
    return load_settings(env_file=write(folder, content), environ={})


def error_text(folder: Path, content: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, content)
    return str(caught.value) + "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "written",
    [
        f'"{PEM}"',
        '"' + PEM.replace("\n", "\\n") + '"',
        "'" + PEM.replace("\n", "\\n") + "'",
        PEM.replace("\n", "\\n"),
    ],
    ids=["real lines", "escaped in double quotes", "escaped in single quotes", "escaped bare"],
)
def test_coinbase_secret_in_each_form_becomes_the_pem(tmp_path: Path, written: str) -> None:
    assert load(tmp_path, f"COINBASE_API_SECRET={written}\n").coinbase_api_secret.reveal() == PEM


def test_secret_with_quotes_in_the_environment_loses_them() -> None:
    # So does docker's --env-file hand it over.
    environ = {"COINBASE_API_SECRET": '"' + PEM.replace("\n", "\\n") + '"', "KRAKEN_MASTER_API_KEY": "'abc'"}
    settings = load_settings(env_file=None, environ=environ)
    assert settings.coinbase_api_secret.reveal() == PEM
    assert settings.kraken_master_api_key.reveal() == "abc"


def test_secret_from_file_is_read_and_stripped(tmp_path: Path) -> None:
    key_file = write(tmp_path, PEM + "\n", name="key.pem")
    settings = load(tmp_path, f"COINBASE_API_SECRET=\nCOINBASE_API_SECRET_FILE={key_file}\n")
    assert settings.coinbase_api_secret.reveal() == PEM
    assert settings.origins["COINBASE_API_SECRET"] == ".env line 2, from a file"


def test_secret_file_in_the_environment_beats_secret_in_the_env_file(tmp_path: Path) -> None:
    path = write(tmp_path, "KRAKEN_MASTER_API_SECRET=old\n")
    environ = {"KRAKEN_MASTER_API_SECRET_FILE": str(write(tmp_path, KRAKEN, name="kraken"))}
    settings = load_settings(env_file=path, environ=environ)
    assert settings.kraken_master_api_secret.reveal() == KRAKEN
    assert settings.origins["KRAKEN_MASTER_API_SECRET"] == "environment, from a file"


def test_missing_secret_file_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"\nKRAKEN_MASTER_API_SECRET_FILE={tmp_path / 'missing'}\n")
    assert str(caught.value) == (
        "KRAKEN_MASTER_API_SECRET_FILE (.env line 2): the file cannot be read: No such file or directory"
    )


def test_secret_pasted_where_its_file_belongs_is_not_shown(tmp_path: Path) -> None:
    assert KRAKEN not in error_text(tmp_path, f"KRAKEN_MASTER_API_SECRET_FILE={KRAKEN}\n")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o444])
def test_secret_file_that_others_can_read_or_change_is_named(tmp_path: Path, mode: int) -> None:
    key_file = write(tmp_path, KRAKEN, name="kraken")
    text = f"KRAKEN_MASTER_API_SECRET_FILE={key_file}\n"
    key_file.chmod(0o600)
    assert load(tmp_path, text).open_secret_files == ()
    key_file.chmod(mode)
    settings = load(tmp_path, text)
    assert settings.open_secret_files == ("KRAKEN_MASTER_API_SECRET_FILE",)
    assert settings.kraken_master_api_secret.reveal() == KRAKEN  # paper needs none of this


def test_secret_file_that_is_not_used_is_not_judged(tmp_path: Path) -> None:
    key_file = write(tmp_path, KRAKEN, name="kraken")
    key_file.chmod(0o644)
    environ = {"KRAKEN_MASTER_API_SECRET": KRAKEN}
    path = write(tmp_path, f"KRAKEN_MASTER_API_SECRET_FILE={key_file}\n")
    assert load_settings(env_file=path, environ=environ).open_secret_files == ()


@pytest.mark.parametrize(
    ("mode", "owner", "is_credential", "private"),
    [
        (0o100600, 1000, False, True),
        (0o100400, 0, False, True),
        (0o100440, 0, False, False),
        (0o100440, 0, True, True),  # as systemd makes it for a service with a user of its own
        (0o100440, 1000, True, False),
        (0o100444, 0, True, False),
        (0o100460, 0, True, False),
    ],
)
def test_only_a_credential_of_systemd_may_be_readable_by_its_group(
    mode: int, owner: int, is_credential: bool, private: bool
) -> None:
    assert secret_file_is_private(mode, owner=owner, is_credential=is_credential) is private


@pytest.mark.skipif(os.geteuid() != 0, reason="a credential belongs to root, and only root can make one")
def test_credential_is_known_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    key_file = write(folder, KRAKEN, name="kraken")
    key_file.chmod(0o440)
    environ = {"KRAKEN_MASTER_API_SECRET_FILE": str(key_file)}
    name = ("KRAKEN_MASTER_API_SECRET_FILE",)
    for place, expected in ((str(folder), ()), (str(tmp_path), name), ("", name)):
        found = load_settings(env_file=None, environ={**environ, "CREDENTIALS_DIRECTORY": place})
        assert found.open_secret_files == expected


def test_empty_and_binary_secret_files_are_errors(tmp_path: Path) -> None:
    empty = write(tmp_path, " \n", name="empty")
    assert "the file is empty" in error_text(tmp_path, f"KRAKEN_MASTER_API_SECRET_FILE={empty}\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    text = error_text(tmp_path, f"KRAKEN_MASTER_API_SECRET_FILE={tmp_path / 'binary'}\n")
    assert "the file cannot be read: it is no file with text" in text


def test_secret_and_its_file_in_one_place_are_an_error(tmp_path: Path) -> None:
    text = error_text(tmp_path, f"KRAKEN_MASTER_API_SECRET={KRAKEN}\nKRAKEN_MASTER_API_SECRET_FILE=x\n")
    assert (
        "KRAKEN_MASTER_API_SECRET and KRAKEN_MASTER_API_SECRET_FILE are both set (.env line 1, .env line 2): keep one"
    ) in text
    assert KRAKEN not in text


def test_secrets_never_show_in_any_view_of_the_settings(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        f'COINBASE_API_KEY=organizations/o-1234/apiKeys/k-5678\nCOINBASE_API_SECRET="{PEM}"\n'
        f"KRAKEN_MASTER_API_KEY=krakenpublic99\nKRAKEN_MASTER_API_SECRET={KRAKEN}\n",
    )
    assert settings.kraken_master_api_secret.reveal() == KRAKEN
    shown = "".join(
        (
            repr(settings),
            str(settings),
            f"{settings.kraken_master_api_secret}{settings.coinbase_api_secret!r}",
            repr(dataclasses.asdict(settings)["coinbase_api_key"]),
            repr(copy.deepcopy(settings.kraken_master_api_key)),
            repr(describe(settings)),
        )
    )
    for secret in ("o-1234", BODY, "AAAAzzzz9876", "krakenpublic99", KRAKEN, KRAKEN[:12]):
        assert secret not in shown
    assert shown.count("set (hidden)") >= 8


def test_unquoted_pem_is_explained_without_a_piece_of_it(tmp_path: Path) -> None:
    text = error_text(tmp_path, f"PRO_MODE=True\nCOINBASE_API_SECRET={PEM}\nPOLL_SECONDS=1\n")
    assert (
        "COINBASE_API_SECRET (.env line 2): must be the text that the exchange gave you, was a value that is not "
        "shown; the private key has no END line: put the whole key into double quotes"
    ) in text
    assert ".env line 3, 5: must be NAME=value, was something else (not shown)" in text
    assert "POLL_SECONDS (.env line 6)" in text
    assert BODY not in text
    assert "AAAAzzzz9876" not in text


def test_piece_of_a_key_that_looks_like_a_name_is_not_kept(tmp_path: Path) -> None:
    # The last base64 line, "AAAAzzzz9876==", reads as a name with the value "=".
    settings = load(tmp_path, "AAAAzzzz9876==\n")
    assert settings.unknown_names == (".env line 1 (name not shown)",)


def test_missing_quote_after_a_secret_is_explained_without_it(tmp_path: Path) -> None:
    text = error_text(tmp_path, f'KRAKEN_MASTER_API_SECRET="{KRAKEN}\n')
    assert "KRAKEN_MASTER_API_SECRET (.env line 1): a closing quote is missing" in text
    assert KRAKEN[:12] not in text


def test_private_key_in_another_setting_is_not_shown(tmp_path: Path) -> None:
    text = error_text(tmp_path, f'MODE="{PEM}"\n')
    assert "MODE (.env line 1)" in text
    assert BODY[:8] not in text


def test_placeholders_of_the_guide_count_as_not_set(tmp_path: Path) -> None:
    # The guide, Quick Start, option 1, as it stands there.
    settings = load(
        tmp_path,
        "# Coinbase\n"
        "COINBASE_API_KEY=organizations/YOUR_ORG/apiKeys/YOUR_KEY\n"
        'COINBASE_API_SECRET="-----BEGIN EC PRIVATE KEY-----..."\n'
        "\n"
        "# Kraken (optional)\n"
        "KRAKEN_MASTER_API_KEY=your-key\n"
        "KRAKEN_MASTER_API_SECRET=your-secret\n",
    )
    assert not any(
        (
            settings.coinbase_api_key,
            settings.coinbase_api_secret,
            settings.kraken_master_api_key,
            settings.kraken_master_api_secret,
        )
    )
    assert settings.origins["KRAKEN_MASTER_API_KEY"] == ".env line 6, still the guide's placeholder"


def test_secret_compares_by_its_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert bool(Secret("a"))
    assert not Secret()
