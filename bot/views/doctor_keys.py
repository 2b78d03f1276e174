"""What the doctor says of the credentials in the settings, without asking anybody; nothing of them is shown."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from bot.settings_schema import CREDENTIALS, Settings, accounts_with_keys
from bot.views.doctor_text import Check, Health

AREA = "settings"
_WANTED = "an ECDSA key (P-256), which Coinbase offers beside Ed25519 when a key is made"
_FORMS = {"-----BEGIN EC PRIVATE KEY-----": "SEC1", "-----BEGIN PRIVATE KEY-----": "PKCS8"}
_ED25519_BYTES = (32, 64)


def check_keys(settings: Settings) -> Iterator[Check]:
    """Judge whether orders would be real, half-set pairs, and the form of the secrets."""
    yield _orders(settings)
    for names in CREDENTIALS.values():
        set_names = [name for name in names if getattr(settings, name.lower())]
        if len(set_names) == 1:
            other = names[1] if set_names[0] == names[0] else names[0]
            found, fix = f"{set_names[0]} is set and {other} is not", f"set {other} too, or neither"
            yield Check(area=AREA, name="credentials", health=Health.WARN, found=found, fix=fix)
    if settings.coinbase_api_secret:
        yield check_coinbase_secret(settings.coinbase_api_secret.reveal())
    if settings.kraken_master_api_secret:
        yield check_kraken_secret(settings.kraken_master_api_secret.reveal())


def check_secret_files(settings: Settings) -> Iterator[Check]:
    """Judge who can read the files that hold secrets; their paths are not shown."""
    for name in settings.open_secret_files:
        found = "the file that it names can be read or changed by others"
        fix = "chmod 600 the file; if others use this machine, make new keys"
        yield Check(area=AREA, name=name, health=Health.FAIL, found=found, fix=fix)


def _orders(settings: Settings) -> Check:
    complete = accounts_with_keys(settings)
    if not complete:
        found = "play money: no venue has complete credentials"
    elif not settings.live_trading:
        found = "play money: LIVE_TRADING is False"
    else:
        found = f"real money on {' and '.join(complete)}, once `run --live` or the typed confirmation says so"
    return Check(area=AREA, name="orders", health=Health.OK, found=found)


def check_coinbase_secret(text: str) -> Check:
    """Judge the form of a Coinbase secret: an ECDSA key on P-256 as PEM, SEC1 or PKCS8."""
    name = "COINBASE_API_SECRET"
    if not text.startswith("-----BEGIN"):
        try:
            is_ed25519 = len(base64.b64decode("".join(text.split()), validate=True)) in _ED25519_BYTES
        except (binascii.Error, ValueError):
            is_ed25519 = False
        if is_ed25519:
            found = "the form of an Ed25519 key, which Coinbase may refuse for trading"
            return Check(area=AREA, name=name, health=Health.WARN, found=found, fix=f"make {_WANTED}")
        fix = f"put the whole private key of {_WANTED} into double quotes"
        return _bad(name, "no private key in PEM form (-----BEGIN ...)", fix)
    # A fifth of what a look at everything else takes: loaded where there is a key only.
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - see above

    try:
        key = load_pem_private_key(text.encode(), password=None)
    except Exception:  # noqa: BLE001 - it fails in many ways, and none of its words may be shown
        return _bad(name, "it cannot be read as a private key", "copy the whole key again, in double quotes")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        return _bad(name, "a private key of another kind", f"make {_WANTED}")
    form = _FORMS.get(text.splitlines()[0].strip(), "PEM")
    return Check(area=AREA, name=name, health=Health.OK, found=f"a private key of ECDSA P-256, {form} form")


def check_kraken_secret(text: str) -> Check:
    """Judge the form of a Kraken secret: base64."""
    name = "KRAKEN_MASTER_API_SECRET"
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return _bad(name, "not base64, as Kraken's private keys are", "copy the private key again, all of it")
    return Check(area=AREA, name=name, health=Health.OK, found="base64, as Kraken's private keys are")


def _bad(name: str, found: str, fix: str) -> Check:
    return Check(area=AREA, name=name, health=Health.FAIL, found=found, fix=fix)
