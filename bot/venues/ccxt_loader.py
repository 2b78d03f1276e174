"""Loads ccxt's own Coinbase and Kraken classes without its other exchanges."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

CCXT = "ccxt"


@dataclass(frozen=True, slots=True)
class ExchangeClasses:
    """ccxt's unmodified synchronous classes; ccxt carries no types, so whoever calls them states what comes back."""

    coinbase: type[Any]
    kraken: type[Any]
    errors: ModuleType
    """``ccxt.base.errors``: every error class by its name, as in ``errors.InsufficientFunds``."""


def load_exchange_classes() -> ExchangeClasses:
    """The classes by the light way; by the plain import where that fails or ccxt is imported already.

    ``import ccxt``, and so every import of a part of it, first runs ``ccxt/__init__.py``, which imports more than a
    hundred exchanges. The light way puts the package's module into ``sys.modules`` without running that file; the
    files of the two exchanges, of the base class and of the errors are then imported as they are.

    Measured with ``python benchmarks/commands.py`` (medians of 9 new processes, ccxt 4.5.90, Python 3.11, files in
    the page cache; Python itself is in the figures):

    ==============  =======  ===========  ============
    way             seconds  peak memory  ccxt modules
    ==============  =======  ===========  ============
    light              0.18        41 MB            12
    plain import       0.45        80 MB           217
    ==============  =======  ===========  ============

    Afterwards ``import ccxt`` gives this module, with the two exchanges, ``Exchange`` and the error classes, but no
    other exchange, for as long as the process lives: ccxt imports parts of itself late and must find its package. So
    nothing else in this program imports ccxt. To be called from one thread first; calling again costs nothing.

    Raises ImportError where ccxt or one of its own requirements is not installed.
    """
    if CCXT not in sys.modules:
        try:
            _import_light()
        except Exception:  # noqa: BLE001 - another ccxt may break it in any way; the plain import heals or tells the cause
            _forget()
    return ExchangeClasses(
        coinbase=import_module("ccxt.coinbase").coinbase,
        kraken=import_module("ccxt.kraken").kraken,
        errors=import_module("ccxt.base.errors"),
    )


def _import_light() -> None:
    spec = find_spec(CCXT)
    if spec is None:
        raise ModuleNotFoundError("ccxt is not installed", name=CCXT)
    package = module_from_spec(spec)  # knows where its parts lie; its own file has not run
    sys.modules[CCXT] = package
    errors = import_module("ccxt.base.errors")
    exchange = import_module("ccxt.base.exchange")
    # What the plain import would show under the same names; importing a part leaves its module there, not its class.
    names = {name: getattr(errors, name) for name in errors.__all__}
    names |= {"errors": errors, "Exchange": exchange.Exchange, "__version__": exchange.__version__}
    names |= {name: getattr(import_module(f"ccxt.{name}"), name) for name in ("coinbase", "kraken")}
    vars(package).update(names)


def _forget() -> None:
    """Take back every part of ccxt, so that the plain import starts as if nothing had been tried."""
    for name in [name for name in sys.modules if name == CCXT or name.startswith(f"{CCXT}.")]:
        del sys.modules[name]
