"""The bearer token of Coinbase's key files: ES256, two minutes, bound to one method and path."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

LIFETIME = timedelta(seconds=120)


class UnauthorizedError(Exception):
    """The venue answers 401 and a bare word; the reason is for the test's eyes only."""


def verified_claims(
    authorization: str, *, key_name: str, public_key: ec.EllipticCurvePublicKey, target: str, host: str, now: datetime
) -> dict[str, Any]:
    """The claims of a bearer header, or UnauthorizedError. `target` is "METHOD path", without the query."""
    scheme, _, token = authorization.partition(" ")
    parts = token.split(".")
    if scheme != "Bearer" or len(parts) != 3:
        raise UnauthorizedError("no bearer token of three parts")
    header, claims = (_json_part(part) for part in parts[:2])
    if (header.get("alg"), header.get("typ"), header.get("kid")) != ("ES256", "JWT", key_name):
        raise UnauthorizedError(f"header {header}")
    # 16 random bytes as a number: one in sixteen has a leading zero, which the client leaves out.
    if not re.fullmatch("[0-9a-f]{1,32}", str(header.get("nonce"))):
        raise UnauthorizedError(f"nonce {header.get('nonce')!r} is not of up to 32 digits")
    _verify(f"{parts[0]}.{parts[1]}".encode(), _decoded(parts[2]), public_key)
    if (claims.get("sub"), claims.get("iss"), claims.get("aud")) != (
        key_name,
        "coinbase-cloud",
        ["retail_rest_api_proxy"],
    ):
        raise UnauthorizedError(f"claims {claims}")
    _check_times(claims, now)
    method, _, path = target.partition(" ")
    # Clients strip https:// from the address, but not http://, so the claim against a local server keeps it.
    if claims.get("uri") not in {f"{method} {host}{path}", f"{method} http://{host}{path}"}:
        raise UnauthorizedError(f"uri {claims.get('uri')!r} is not {target!r}")
    return claims


def _check_times(claims: dict[str, Any], now: datetime) -> None:
    not_before, expires, seconds = claims.get("nbf"), claims.get("exp"), now.timestamp()
    if not isinstance(not_before, int) or not isinstance(expires, int):
        raise UnauthorizedError("nbf and exp must be whole numbers")
    if expires - not_before > LIFETIME.total_seconds():
        raise UnauthorizedError("the token lives longer than two minutes")
    if not not_before <= seconds < expires:
        raise UnauthorizedError(f"valid from {not_before} until {expires}, now is {seconds}")


def _verify(message: bytes, signature: bytes, public_key: ec.EllipticCurvePublicKey) -> None:
    if len(signature) != 64:
        raise UnauthorizedError("the signature is not 64 bytes of r and s")
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        public_key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise UnauthorizedError("the signature is not of this key") from None


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise UnauthorizedError("a part of the token is not base64url") from None


def _json_part(part: str) -> dict[str, Any]:
    try:
        read = json.loads(_decoded(part))
    except ValueError:
        raise UnauthorizedError("a part of the token is not JSON") from None
    if not isinstance(read, dict):
        raise UnauthorizedError("a part of the token is not an object")
    return read
