"""Each case is a process of its own: what is in `sys.modules` is the matter here, and this process keeps its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Loads the classes, uses them without a network and tells what was found. The signatures are computed again here as
# the venues document them: Kraken HMAC-SHA512(secret, path + SHA256(nonce + body)), Coinbase ES256 over header.payload.
PROBE = r"""
import base64, hashlib, hmac, json, sys
from urllib.parse import parse_qs

def deny(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError("the network was asked for: " + event)

sys.addaudithook(deny)
from bot.venues.ccxt_loader import load_exchange_classes

found = load_exchange_classes()
again = load_exchange_classes()
parts = [name for name in sys.modules if name == "ccxt" or name.startswith("ccxt.")]
with open("/proc/self/status") as status:  # not getrusage: there a parent's peak outlives the start of a new program
    peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

kraken = found.kraken({"apiKey": "k", "secret": base64.b64encode(b"made up here").decode()})
signed = kraken.sign("AddOrder", ["private"], "POST", {"pair": "XBTUSD"})
body = signed["body"]
inner = hashlib.sha256((parse_qs(body)["nonce"][0] + body).encode()).digest()
kraken_sign = base64.b64encode(hmac.digest(b"made up here", b"/0/private/AddOrder" + inner, "sha512")).decode()

key = ec.generate_private_key(ec.SECP256R1())
pem = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
coinbase = found.coinbase({"apiKey": "organizations/a/apiKeys/b", "secret": pem})
request = coinbase.sign("brokerage/accounts", ["v3", "private"], "GET")
token = request["headers"]["Authorization"].removeprefix("Bearer ")
header, payload, raw = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
pair = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
key.public_key().verify(pair, token.rpartition(".")[0].encode(), ec.ECDSA(hashes.SHA256()))  # raises where it is wrong

def error_of(exchange, code, text):
    try:
        exchange.handle_errors(code, "", "", "POST", {}, text, exchange.parse_json(text), {}, "")
    except found.errors.BaseError as error:
        return type(error).__name__

def tree(error):
    return {below.__name__: tree(below) for below in sorted(error.__subclasses__(), key=lambda one: one.__name__)}

import ccxt

same = {
    "a second call": again == found,
    "ccxt.coinbase": ccxt.coinbase is found.coinbase,
    "ccxt.kraken": ccxt.kraken is found.kraken,
    "ccxt.errors": ccxt.errors is found.errors,
    "error classes": all(getattr(ccxt, name) is getattr(found.errors, name) for name in found.errors.__all__),
    "base class": found.coinbase.__mro__.count(ccxt.Exchange) == found.kraken.__mro__.count(ccxt.Exchange) == 1,
    "parts": ccxt.abstract.kraken.ImplicitAPI in found.kraken.__mro__,
}
print(json.dumps({
    "modules": len(parts),
    "others": hasattr(ccxt, "binance"),
    "peak_kib": peak_kib,
    "uses": {
        "version": ccxt.__version__,
        "classes": [f"{one.__module__}.{one.__qualname__}" for one in (found.coinbase, found.kraken)],
        "errors": tree(found.errors.BaseError),
        "not the same": [what for what, holds in same.items() if not holds],
        "ids": [coinbase.id, kraken.id],
        "kraken sign": signed["headers"]["API-Sign"] == kraken_sign,
        "coinbase uri": json.loads(payload)["uri"],
        "coinbase alg": json.loads(header)["alg"],
        "mapped": [
            error_of(kraken, 200, '{"error":["EOrder:Insufficient funds"]}'),
            error_of(kraken, 200, '{"error":["EAPI:Invalid nonce"]}'),
            error_of(coinbase, 400, '{"error":"INVALID_ARGUMENT","message":"x"}'),
            error_of(coinbase, 401, '{"errors":[{"id":"authentication_error","message":"x"}]}'),
        ],
    },
}))
"""

# Fails as a ccxt would that needs a name of its own package: late, when parts of it have been imported already.
FAILS_LATE = """
import sys

class NeedsItsPackage:
    def find_spec(self, name, path=None, target=None):
        if name == "ccxt.kraken" and not hasattr(sys.modules["ccxt"], "OrderRouter"):
            assert "ccxt.coinbase" in sys.modules
            raise {error}("the light way was tried")

sys.meta_path.insert(0, NeedsItsPackage())
"""
FAILS_EARLY = """
import importlib.util

def refuse(spec):
    raise RuntimeError("the light way was tried")

importlib.util.module_from_spec = refuse
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def probed(before: str = "") -> dict[str, Any]:
    done = run(before + PROBE)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def light() -> dict[str, Any]:
    return probed()


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return probed("import ccxt\n")


def test_ccxt_by_the_light_way_brings_the_two_exchanges_only(light: dict[str, Any]) -> None:
    # 12 in ccxt 4.5.90: ccxt; base, its errors, exchange, types, precise, decimal_to_precision; abstract and twice an
    # exchange in it; the two exchanges. A few more may come with another version, a hundred exchanges may not.
    assert 12 <= light["modules"] <= 24
    assert not light["others"]


def test_ccxt_imported_before_is_used_as_it_is(plain: dict[str, Any]) -> None:
    assert plain["modules"] > 150
    assert plain["others"]


def test_ccxt_by_the_light_way_needs_far_less_memory(light: dict[str, Any], plain: dict[str, Any]) -> None:
    assert light["peak_kib"] < plain["peak_kib"] * 0.7
    assert light["modules"] * 5 < plain["modules"]


def test_ccxt_classes_by_both_ways_do_the_same_without_a_network(light: dict[str, Any], plain: dict[str, Any]) -> None:
    assert light["uses"] == plain["uses"]
    uses = light["uses"]
    assert uses["classes"] == ["ccxt.coinbase.coinbase", "ccxt.kraken.kraken"]
    assert uses["ids"] == ["coinbase", "kraken"]
    assert uses["not the same"] == []
    assert uses["kraken sign"]
    assert uses["coinbase alg"] == "ES256"
    assert uses["coinbase uri"] == "GET api.coinbase.com/api/v3/brokerage/accounts"
    assert uses["mapped"] == ["InsufficientFunds", "InvalidNonce", "BadRequest", "AuthenticationError"]
    assert set(uses["errors"]) == {"ExchangeError", "OperationFailed", "UnsubscribeError"}
    assert "OrderNotFound" in uses["errors"]["ExchangeError"]["InvalidOrder"]


@pytest.mark.parametrize(
    "failure",
    [FAILS_EARLY, FAILS_LATE.format(error="ImportError"), FAILS_LATE.format(error="AttributeError")],
    ids=["early", "late", "late-otherwise"],
)
def test_ccxt_where_the_light_way_fails_is_imported_plainly(failure: str, plain: dict[str, Any]) -> None:
    report = probed(failure)
    assert report["others"]
    assert report["modules"] == plain["modules"]
    # Nothing that the failed attempt had imported is left: the plain package is whole and no class exists twice.
    assert report["uses"] == plain["uses"]


def test_ccxt_not_installed_is_told_by_its_name() -> None:
    # Both ways fail; bot.py turns this error and its name into the advice to run the set-up.
    done = run(
        "import sys\n"
        "sys.path[:] = [place for place in sys.path if not place.endswith('-packages')]\n"
        "from bot.venues.ccxt_loader import load_exchange_classes\n"
        "try:\n"
        "    load_exchange_classes()\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name, 'ccxt' in sys.modules)\n"
    )
    assert done.stdout == "ccxt False\n", done.stderr
