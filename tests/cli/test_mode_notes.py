from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli.run import mode_notes
from bot.settings import load_settings

KEYS = "KRAKEN_MASTER_API_KEY=k9\nKRAKEN_MASTER_API_SECRET=czk=\n"


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, True), (0o600, False)])
def test_notes_warn_of_an_env_file_with_secrets_that_others_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, warned: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    env_file = tmp_path / ".env"
    env_file.write_text(KEYS)
    env_file.chmod(mode)
    notes = list(mode_notes(load_settings(env_file=env_file, environ={}), None))
    assert any("chmod 600" in note for note in notes) == warned
    assert not any("k9" in note or "czk" in note for note in notes)


def test_notes_of_an_open_env_file_without_secrets_do_not_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PAPER_EQUITY=50\n")
    notes = list(mode_notes(load_settings(env_file=tmp_path / ".env", environ={}), None))
    assert notes[0].startswith("PAPER, no real orders: no venue has complete credentials")
    assert notes[-1].startswith("SIMULATED: prices are invented")
