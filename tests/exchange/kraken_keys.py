"""Kraken's API keys: who signed a request, with which nonce, and what the key may do."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kraken_forms import Fields, KrakenError
from wire import Request

BOT_RIGHTS = frozenset({"query-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades"})
"""What a bot needs, and no more."""


@dataclass(slots=True, kw_only=True)
class ApiKey:
    """One key: ``secret`` in base64 as the venue hands it out; ``rights`` may be changed by a test at any time."""

    key: str
    secret: str
    rights: frozenset[str] = BOT_RIGHTS
    last_nonce: int = 0

    def info(self, now: datetime) -> dict[str, object]:
        """Result of GetApiKeyInfo."""
        moments = dict.fromkeys(("valid_until", "query_from", "query_to"), "0")
        return {
            "api_key_name": "bot",
            "api_key": self.key,
            "nonce": str(self.last_nonce),
            "nonce_window": "0",
            "permissions": sorted(self.rights),
            "iban": "",
            **moments,
            "created_time": "1",
            "modified_time": "1",
            "ip_allowlist": [],
            "last_used": str(int(now.timestamp())),
        }


def admit(request: Request, fields: Fields, keys: Mapping[str, ApiKey]) -> ApiKey:
    """The key that signed the request; its nonce is used up from here on, whatever happens next.

    The signature is HMAC-SHA512 over path + SHA256(nonce + body), the nonce must be above the key's last one: two
    requests that overtake each other lose one of them, as at the venue. Raises KrakenError.
    """
    key = keys.get(request.headers.get("api-key", ""))
    if key is None or request.method != "POST":
        raise KrakenError("EAPI:Invalid key")
    nonce = fields.get("nonce", "")
    digest = hashlib.sha256(nonce.encode() + request.body).digest()
    signed = hmac.new(base64.b64decode(key.secret), request.path.encode() + digest, hashlib.sha512).digest()
    if not hmac.compare_digest(base64.b64encode(signed).decode(), request.headers.get("api-sign", "")):
        raise KrakenError("EAPI:Invalid signature")
    if not nonce.isdigit() or int(nonce) <= key.last_nonce:
        raise KrakenError("EAPI:Invalid nonce")
    key.last_nonce = int(nonce)
    return key
