"""`evidence`: what the rules did on old prices, what it rests on, and building it anew from candles."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bot.bootstrap_config import paper_fees, read_model, rules_of
from bot.bootstrap_evidence import build_evidence
from bot.cli.env import current_time, settings_from
from bot.cli.options import json_option
from bot.domain.errors import ConfigError
from bot.domain.evidence import EvidenceFile
from bot.settings_schema import configured_accounts
from bot.storage.candle_files import candles_folder, checksum_of, preferred_source
from bot.storage.evidence_file import EVIDENCE_NAME, MODEL_NAME, evidence_path, read_evidence, write_evidence
from bot.storage.model_file import write_model_card
from bot.views.evidence_text import EvidenceView, evidence_view_document, render_evidence
from bot.views.recorded import own_account
from bot.views.status import json_text


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--source", metavar="NAME", help="Whose candle files. Default: coinbase, else what there is.")
@click.option("--into", metavar="DIR", type=click.Path(path_type=Path), help="Where to write. Default: STATE_DIR.")
@json_option
def evidence(*, folder: Path | None, source: str | None, into: Path | None, as_json: bool) -> None:
    r"""Show the evidence for the present settings; with FOLDER, build it anew from daily candles.

    Evidence of your own in STATE_DIR goes before the shipped one; delete evidence.json there to return to that.

    \b
    Example:
      python bot.py evidence candles
    """
    settings = settings_from()
    given = {"--source": source, "--into": into}
    alone = [name for name, value in given.items() if value is not None]
    if folder is None and alone:
        raise ConfigError(f"{', '.join(alone)} belongs to building it: `evidence FOLDER` names the candles")
    target = settings.state_dir if into is None else into
    if folder is not None:
        _build(folder, source, target)
    where = target / EVIDENCE_NAME if folder is not None else evidence_path(settings.state_dir)
    found = read_evidence(where)
    if found is None:
        raise ConfigError(f"{where}: there is no evidence; `evidence FOLDER` builds it from daily candles")
    account = configured_accounts(settings)[0]
    own = own_account(settings.state_dir, account)
    fees = own.fees if own is not None and own.fees is not None else paper_fees(account, settings)
    view = EvidenceView(
        evidence=found,
        is_shipped=folder is None and where.parent != settings.state_dir,
        card=read_model(target),
        account=account,
        maker_fee_pct=float(fees.maker_frac) * 100,
        taker_fee_pct=float(fees.taker_frac) * 100,
        rules=rules_of(settings),
        own=found.of(account, rules_of(settings)),
        now=current_time(),
        changed=_changed(found, candles_folder(settings.state_dir) if folder is None else folder),
    )
    if as_json:
        click.echo(json_text(evidence_view_document(view)))
        return
    for line in render_evidence(view):
        click.echo(line)


def _changed(found: EvidenceFile, folder: Path) -> tuple[str, ...]:
    """Name the candle files of the evidence that lie in a folder and are other ones by now."""
    there = ((folder / name, digest) for name, digest in found.files)
    return tuple(path.name for path, digest in there if path.is_file() and checksum_of(path) != digest)


def _build(folder: Path, source: str | None, target: Path) -> None:
    """Compute everything and write it. Raises ConfigError, before anything is computed where the folder is no good."""
    if not target.is_dir():
        raise ConfigError(f"{target}: no such folder to write {EVIDENCE_NAME} into")
    if not os.access(target, os.W_OK | os.X_OK):
        raise ConfigError(f"{target} cannot be written: the evidence has nowhere to go")
    for name in (EVIDENCE_NAME, MODEL_NAME):
        if (target / name).is_dir():
            raise ConfigError(f"{target / name}: a folder lies where the file belongs")
    built, card = build_evidence(
        settings_from,
        folder=folder,
        source=preferred_source(folder) if source is None else source,
        now=current_time(),
        say=lambda words: click.echo(words, err=True),
    )
    try:
        write_evidence(target / EVIDENCE_NAME, built)
        if card is not None:
            write_model_card(target / MODEL_NAME, card)
    except OSError as e:
        raise ConfigError(f"{target} cannot be written: {e.strerror}") from e
