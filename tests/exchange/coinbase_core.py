"""Coinbase Advanced for the tests: what an unmodified client needs of it, over one scripted account.

Orders it rejects are answered with HTTP 200, a token it does not accept with 401 and a bare word.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from account_state import Kind, Market, NewOrder, RefusedError
from coinbase_catalog import Product, plain
from coinbase_jwt import UnauthorizedError, verified_claims
from coinbase_orders import (
    CANCEL_QUEUED,
    FORMS,
    STATUS_NAMES,
    BadBodyError,
    accepted_json,
    fill_json,
    new_order,
    order_form,
    order_json,
    parsed_time,
    refusal_reason,
    refused_json,
    status_name,
)
from coinbase_reads import Asked, CoinbaseReads, FailedError, Repeats
from cryptography.hazmat.primitives.asymmetric import ec
from wire import Reply, Request, json_reply

V3 = "/api/v3/brokerage"


@dataclass(slots=True, kw_only=True)
class LogEntry:
    """One request as it came, with what its token claims, and how it was answered."""

    method: str
    path: str
    query: str
    body: bytes
    claims: dict[str, Any] | None = None
    refusal: str = ""
    """Why the token was not accepted."""
    status: int = 0


class Route(NamedTuple):
    """A path, `{}` standing for one part, and whether it wants a token."""

    method: str
    path: str
    private: bool
    answer: Callable[[Asked], dict[str, Any]]


def market_of(product: Product) -> Market:
    """The account's side of a product."""
    return Market(
        symbol=product.product_id,
        base=product.base,
        quote=product.quote,
        lot_step=product.base_step,
        tick_size=product.price_step,
        min_amount=product.base_min,
        min_cost=product.quote_min,
    )


@dataclass(slots=True, kw_only=True)
class CoinbaseCore(CoinbaseReads):
    """The venue: its account is scripted by the test, its key is one name and one public key on the P-256 curve.

    `account.markets` must come from `products` (`market_of`); `log` holds every request, oldest first.
    """

    key_name: str
    public_key: ec.EllipticCurvePublicKey
    log: list[LogEntry] = field(default_factory=list)

    def handle(self, request: Request, now: datetime) -> Reply:
        """Answer one request."""
        self.account.advance(now)
        entry = LogEntry(method=request.method, path=request.path, query=request.query, body=request.body)
        self.log.append(entry)
        try:
            reply = self._answered(request, entry, now)
        except UnauthorizedError as refusal:
            entry.refusal = str(refusal)
            reply = Reply(401, b"Unauthorized", "text/plain")
        except BadBodyError as bad:
            reply = FailedError(400, "INVALID_ARGUMENT", str(bad)).reply
        except FailedError as failed:
            reply = failed.reply
        entry.status = reply.status
        return reply

    def _answered(self, request: Request, entry: LogEntry, now: datetime) -> Reply:
        found = self._route(request)
        if found is None:
            return json_reply({"errors": [{"id": "not_found", "message": "Not found"}]}, 404)
        route, tail = found
        if route.private:
            entry.claims = verified_claims(
                request.headers.get("authorization", ""),
                key_name=self.key_name,
                public_key=self.public_key,
                target=f"{request.method} {request.path}",
                host=request.headers.get("host", ""),
                now=now,
            )
            self._check_rights(request)
        asked = Asked(query=parse_qs(request.query), body=_body(request), tail=tail, now=now)
        return json_reply(route.answer(asked))

    def _check_rights(self, request: Request) -> None:
        """Whoever may not even look may still ask what the key may do."""
        right = self.switches.can_view if request.method == "GET" else self.switches.can_trade
        if not right and request.path != f"{V3}/key_permissions":
            raise FailedError(403, "PERMISSION_DENIED", "Missing required scopes")

    def _route(self, request: Request) -> tuple[Route, str] | None:
        for route in self._routes():
            head, hole, foot = route.path.partition("{}")
            if request.method != route.method or not request.path.startswith(head):
                continue
            tail = request.path.removeprefix(head)
            if not hole and not tail:
                return route, ""
            if hole and tail.endswith(foot) and "/" not in (name := tail.removesuffix(foot)) and name:
                return route, name
        return None

    def _routes(self) -> tuple[Route, ...]:
        """Every path that is served; of two that fit, the first."""
        return (
            Route("GET", "/v2/time", False, self.v2_time),
            Route("GET", "/v2/currencies", False, self.fiats),
            Route("GET", "/v2/currencies/crypto", False, self.coins),
            Route("GET", "/v2/exchange-rates", False, self.exchange_rates),
            Route("GET", "/v2/accounts", True, self.v2_accounts),
            Route("GET", f"{V3}/time", False, self.v3_time),
            Route("GET", f"{V3}/market/products", False, self.product_list),
            Route("GET", f"{V3}/market/products/{{}}/ticker", False, self.ticker),
            Route("GET", f"{V3}/market/products/{{}}/candles", False, self.candles),
            Route("GET", f"{V3}/market/products/{{}}", False, self.product),
            Route("GET", f"{V3}/market/product_book", False, self.product_book),
            Route("GET", f"{V3}/products", True, self.product_list),
            Route("GET", f"{V3}/products/{{}}/ticker", True, self.ticker),
            Route("GET", f"{V3}/products/{{}}/candles", True, self.candles),
            Route("GET", f"{V3}/products/{{}}", True, self.product),
            Route("GET", f"{V3}/product_book", True, self.product_book),
            Route("GET", f"{V3}/best_bid_ask", True, self.best_bid_ask),
            Route("GET", f"{V3}/transaction_summary", True, self.transaction_summary),
            Route("GET", f"{V3}/key_permissions", True, self.key_permissions),
            Route("GET", f"{V3}/accounts", True, self.v3_accounts),
            Route("POST", f"{V3}/orders", True, self._create_order),
            Route("POST", f"{V3}/orders/preview", True, self._preview_order),
            Route("POST", f"{V3}/orders/batch_cancel", True, self._cancel_orders),
            Route("GET", f"{V3}/orders/historical/batch", True, self._order_history),
            Route("GET", f"{V3}/orders/historical/fills", True, self._fill_history),
            Route("GET", f"{V3}/orders/historical/{{}}", True, self._order),
        )

    # ---- orders

    def _create_order(self, asked: Asked) -> dict[str, Any]:
        client_id = asked.body.get("client_order_id")
        if not isinstance(client_id, str) or not client_id:
            raise BadBodyError("client_order_id is required")
        earlier = self.account.with_client_id(client_id)
        if earlier and self.switches.repeats is Repeats.RETURN_ORIGINAL:
            return accepted_json(earlier[0])
        if earlier:
            return self._refused("DUPLICATE_CLIENT_ORDER_ID", "the client order id was used before", asked)
        if order_form(asked.body) not in self._forms():
            return self._refused("UNSUPPORTED_ORDER_CONFIGURATION", "source is not enabled for trading", asked)
        new = new_order(asked.body)
        if self._is_barred(new):
            return self._refused("ORDER_ENTRY_DISABLED", "the product takes no such order now", asked)
        try:
            order = self.account.place(new, asked.now)
        except RefusedError as refused:
            return self._refused(refusal_reason(refused.code, stop_up=new.stop_up), str(refused), asked)
        return accepted_json(order)

    def _is_barred(self, new: NewOrder) -> bool:
        flag = self.products[new.symbol].flag if new.symbol in self.products else ""
        if flag == "limit_only":
            return new.kind is Kind.MARKET
        return not new.post_only if flag == "post_only" else bool(flag)

    def _forms(self) -> frozenset[str]:
        return frozenset(form for form in FORMS if self.switches.takes_stop_limits or not form.startswith("stop_"))

    def _refused(self, reason: str, detail: str, asked: Asked) -> dict[str, Any]:
        return refused_json(reason, detail, asked.body, names_preview_reason=self.switches.names_preview_reason)

    def _preview_order(self, asked: Asked) -> dict[str, Any]:
        """Judged as an order would be; the totals are those at the limit, or at the best price, as a taker."""
        if order_form(asked.body) not in self._forms():
            return {"errs": ["PREVIEW_UNSUPPORTED_ORDER_CONFIGURATION"], "warning": [], "preview_id": ""}
        new = new_order(asked.body)
        errors = []
        try:
            self.account.check(new)
        except RefusedError as refused:
            errors.append(refusal_reason(refused.code, stop_up=new.stop_up))
        book = self.account.book(new.symbol)
        if book is None:
            return {"errs": errors, "warning": [], "preview_id": "p"}
        price = new.limit_price or (book.ask if new.side.value == "buy" else book.bid)
        cost = new.quote_size / (1 + self.account.taker_frac) if new.quote_size else (new.quantity or 0) * price
        return {
            "order_total": plain(cost * (1 + self.account.taker_frac)),
            "commission_total": plain(cost * self.account.taker_frac),
            "errs": errors,
            "warning": [],
            "quote_size": plain(cost),
            "base_size": plain(cost / price),
            "best_bid": plain(book.bid),
            "best_ask": plain(book.ask),
            "is_max": False,
            "preview_id": "p",
        }

    def _cancel_orders(self, asked: Asked) -> dict[str, Any]:
        names = asked.body.get("order_ids")
        if not isinstance(names, list) or not names:
            raise BadBodyError("order_ids is required")
        return {"results": [self._canceled(str(name), asked.now) for name in names]}

    def _canceled(self, order_id: str, now: datetime) -> dict[str, Any]:
        reason = "UNKNOWN_CANCEL_FAILURE_REASON"
        try:
            self.account.cancel(order_id, now)
        except RefusedError:
            # Unknown, or ended before: the venue has the same word for both.
            reason = "UNKNOWN_CANCEL_ORDER"
        return {"success": reason == "UNKNOWN_CANCEL_FAILURE_REASON", "failure_reason": reason, "order_id": order_id}

    def _order(self, asked: Asked) -> dict[str, Any]:
        order = self.account.order(asked.tail)
        if order is None:
            raise FailedError(404, "NOT_FOUND", "order with this orderID was not found")
        return {"order": order_json(order)}

    def _order_history(self, asked: Asked) -> dict[str, Any]:
        """Newest first. PENDING and CANCEL_QUEUED orders are not OPEN ones, those that ended part filled not FILLED."""
        statuses = asked.many("order_status")
        unknown = set(statuses) - {*STATUS_NAMES.values(), CANCEL_QUEUED}
        if unknown:
            raise FailedError(400, "INVALID_ARGUMENT", f"unknown order_status {sorted(unknown)}")
        begin, end = _span(asked, "start_date", "end_date")
        rows = [
            order_json(order)
            for order in reversed(self.account.orders())
            if (not statuses or status_name(order) in statuses)
            and self._wanted(order.asked.symbol, asked)
            and begin <= order.created_at <= end
        ]
        page, after = self.page(rows, asked, limit=asked.whole("limit", 100))
        return {"orders": page, "sequence": "0", "has_next": bool(after), "cursor": after}

    def _wanted(self, symbol: str, asked: Asked) -> bool:
        wanted = asked.many("product_ids") + (asked.many("product_id") if self.switches.reads_product_id else [])
        return not wanted or symbol in wanted

    def _fill_history(self, asked: Asked) -> dict[str, Any]:
        """Newest first."""
        begin, end = _span(asked, "start_sequence_timestamp", "end_sequence_timestamp")
        order_ids, symbols = asked.many("order_id") + asked.many("order_ids"), asked.many("product_id")
        rows = [
            fill_json(fill, in_quote=self._sized_in_quote(fill.order_id))
            for fill in reversed(self.account.fills())
            if (not order_ids or fill.order_id in order_ids)
            and (not symbols or fill.symbol in symbols)
            and begin <= fill.at <= end
        ]
        page, after = self.page(rows, asked, limit=asked.whole("limit", 100))
        return {"fills": page, "cursor": after}

    def _sized_in_quote(self, order_id: str) -> bool:
        order = self.account.order(order_id)
        assert order is not None, "a fill belongs to an order"
        return order.asked.quote_size is not None


def _span(asked: Asked, begin: str, end: str) -> tuple[datetime, datetime]:
    ends = (asked.one(begin), asked.one(end))
    first = parsed_time(ends[0]) if ends[0] else datetime.min.replace(tzinfo=UTC)
    return first, parsed_time(ends[1]) if ends[1] else datetime.max.replace(tzinfo=UTC)


def _body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    try:
        read = json.loads(request.body)
    except ValueError:
        raise BadBodyError("the body is not JSON") from None
    if not isinstance(read, dict):
        raise BadBodyError("the body is not an object")
    return read
