"""A small shop: catalogue, cart, orders, refunds.

The shop is a state machine of JSON values. In the sealed workspace it runs in the process, with
snapshots; :mod:`~enactive.worlds.workspace.shop_server` serves the same machine over HTTP. Both
honour idempotency keys: a request whose key was seen gets the first one's reply, and does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from enactive.actions.toolbox import ToolError
from enactive.registry import suggest
from enactive.worlds.workspace.answers import plain
from enactive.worlds.workspace.problem import (
    Apply,
    Domain,
    Level,
    Operation,
    Problem,
    State,
    Wordings,
    call,
    reads,
    several,
    text,
    writes,
)

KINDS = {
    "lamp": ("desk", "floor", "reading", "garden"),
    "mug": ("blue", "green", "tall", "striped"),
    "chair": ("oak", "folding", "office", "garden"),
    "rug": ("wool", "round", "striped", "blue"),
}
"""Kind to what there is of it: a product is e.g. ``"blue mug"``."""


def _product(state: State, sku: str) -> dict[str, Any]:
    if sku not in state["products"]:
        raise ToolError(f"sku: there is no product {sku!r}; {suggest(sku, state['products'])}")
    return state["products"][sku]


def _search(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    words = set(plain(arguments["text"]).split())
    found = [
        {"sku": sku, **product}
        for sku, product in sorted(state["products"].items())
        if words <= set(product["name"].split()) | {product["kind"]}
    ]
    return {"products": found}


def _add(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    sku, quantity = arguments["sku"], arguments["quantity"]
    product, cart = _product(state, sku), state["cart"]
    if cart.get(sku, 0) + quantity > product["stock"]:
        raise ToolError(f"quantity: only {product['stock']} of {sku} are in stock")
    cart[sku] = cart.get(sku, 0) + quantity
    return _view(state, {}, "")


def _remove(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    if arguments["sku"] not in state["cart"]:
        raise ToolError(f"sku: {arguments['sku']!r} is not in the cart")
    del state["cart"][arguments["sku"]]
    return _view(state, {}, "")


def _view(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    lines = [
        {"sku": sku, "quantity": quantity, "price": state["products"][sku]["price"]}
        for sku, quantity in sorted(state["cart"].items())
    ]
    return {"cart": lines, "total": sum(line["quantity"] * line["price"] for line in lines)}


def _order(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    if not state["cart"]:
        raise ToolError("the cart is empty; add something first")
    number = f"o{len(state['orders']) + 1}"
    total = _view(state, {}, "")["total"]
    items = dict(sorted(state["cart"].items()))
    for sku, quantity in items.items():
        state["products"][sku]["stock"] -= quantity
    state["orders"][number] = {"items": items, "total": total, "refunded": False}
    state["cart"].clear()
    return {"order": number, "items": dict(items), "total": total}


def _orders(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    return {
        "orders": [
            {"order": number, **one, "items": dict(one["items"])}
            for number, one in sorted(state["orders"].items())
        ]
    }


def _refund(state: State, arguments: Mapping[str, Any], key: str) -> Any:
    number = arguments["order"]
    if number not in state["orders"]:
        raise ToolError(f"order: there is no {number!r}; {suggest(number, state['orders'])}")
    order = state["orders"][number]
    if order["refunded"]:
        raise ToolError(f"order: {number!r} was refunded already")
    order["refunded"] = True
    for sku, quantity in order["items"].items():
        state["products"][sku]["stock"] += quantity
    return {"order": number, "refunded": order["total"]}


def once(operation: str, apply: Apply) -> Apply:
    """``apply``, done once for each idempotency key; without a key, each time.

    A repeated key gets the first reply, a refusal included. One that comes with another request is
    refused, so that a key that was made carelessly does not hide a request.
    """

    def applied(state: State, arguments: Mapping[str, Any], key: str) -> Any:
        request = json.dumps([operation, dict(arguments)], sort_keys=True)
        seen: dict[str, Any] = state["replies"]
        if key and key in seen:
            if seen[key]["request"] != request:
                raise ToolError(f"idempotency key {key!r} came before with another request")
            if "error" in seen[key]:
                raise ToolError(seen[key]["error"])
            return seen[key]["value"]
        try:
            value = apply(state, arguments, key)
        except ToolError as error:
            if key:
                seen[key] = {"request": request, "error": str(error)}
            raise
        if key:
            seen[key] = {"request": request, "value": value}
        state["effects"].append([operation, key])
        return value

    return applied


def _writes(name: str, description: str, properties: Mapping[str, Any], apply: Apply) -> Operation:
    # Stock, cart and orders hang together, so that whatever changes one is alone with all.
    return writes(name, description, properties, once(name, apply), ("shop",), destructive=False)


_SKU = text("a product's sku", 12, examples=["lamp1", "mug2", "chair3", "rug4"])

OPERATIONS = (
    reads(
        "search_products", "Products that have all words of a text in their name; '' for all.",
        {"text": text("a few words", 60, default="", examples=["mug", "blue"])}, _search, ("shop",),
    ),
    reads("view_cart", "What is in the cart, and its total.", {}, _view, ("shop",)),
    reads("list_orders", "All orders so far.", {}, _orders, ("shop",)),
    _writes(
        "add_to_cart", "Put more of a product into the cart.",
        {
            "sku": _SKU,
            "quantity": {"type": "integer", "minimum": 1, "maximum": 99, "description": "how many"},
        },
        _add,
    ),
    _writes("remove_from_cart", "Take a product out of the cart.", {"sku": _SKU}, _remove),
    _writes("place_order", "Buy what is in the cart, which is empty then.", {}, _order),
    _writes(
        "refund_order", "Give an order back; what was bought is in stock again.",
        {"order": text("its number", 8, examples=["o1", "o2"])}, _refund,
    ),
)  # fmt: skip

BUY = Wordings(
    training=(
        "Buy {quantity} of the {name}. Then answer.",
        "Order {quantity} pieces of the {name}, and answer when it is ordered.",
    ),
    held_out=("We need {quantity} of the {name}; get them, and answer.",),
)
CHEAPEST = Wordings(
    training=(
        "Buy {quantity} of the cheapest {kind} of which as many are in stock. Then answer.",
        "Order {quantity} of one {kind}: the cheapest that has enough in stock. Then answer.",
    ),
    held_out=(
        "Of the kinds of {kind} with at least {quantity} left, take {quantity} of the least "
        "expensive, and answer.",
    ),
)
SEVERAL = Wordings(
    training=(
        "Buy {quantity} of the {name} and {quantity2} of the {name2} in one order. Then answer.",
    ),
    held_out=(
        "One order, please: {quantity2} of the {name2}, and {quantity} of the {name}. Answer when "
        "it is placed.",
    ),
)
EXCHANGE = Wordings(
    training=(
        "Refund the earlier order of the {name}, and buy as many of the {name2} instead. Then "
        "answer.",
    ),
    held_out=(
        "The {name} that was ordered goes back; order the same number of the {name2}, and answer.",
    ),
)


def generate(level: int, generator: np.random.Generator) -> Problem:
    """Buy one product, the cheapest of a kind, two products, or exchange an order."""
    prices: list[int] = several(generator, range(5, 120), 16)
    names = [(kind, f"{one} {kind}") for kind, ones in KINDS.items() for one in ones]
    count = dict.fromkeys(KINDS, 0)
    products: dict[str, Any] = {}
    for (kind, name), price in zip(names, prices, strict=True):
        count[kind] += 1
        stock = int(generator.integers(1, 9))
        products[f"{kind}{count[kind]}"] = {
            "name": name, "kind": kind, "price": price, "stock": stock
        }  # fmt: skip
    state: State = {"products": products, "cart": {}, "orders": {}, "replies": {}, "effects": []}
    first, second, third = several(generator, [*products], 3)
    if level == 1:
        wordings, wanted, fields = BUY, {first: _few(generator, products[first])}, {}
    elif level == 2:
        kind = products[first]["kind"]
        most = max(one["stock"] for one in products.values() if one["kind"] == kind)
        quantity = int(generator.integers(1, most + 1))
        enough = [
            sku for sku, one in products.items()
            if one["kind"] == kind and one["stock"] >= quantity
        ]  # fmt: skip
        cheapest = min(enough, key=lambda sku: products[sku]["price"])
        wordings, wanted, fields = CHEAPEST, {cheapest: quantity}, {"kind": kind}
    elif level == 3:
        wanted = {
            first: _few(generator, products[first]),
            second: _few(generator, products[second]),
        }
        wordings, fields = SEVERAL, {}
    else:
        quantity = _few(generator, products[second])
        for number, (sku, bought) in enumerate(((third, 1), (first, quantity))):
            total = bought * products[sku]["price"]
            one = {"items": {sku: bought}, "total": total, "refunded": False}
            state["orders"][f"o{number + 1}"] = one
        wordings, wanted = EXCHANGE, {second: quantity}
        fields = {"name": products[first]["name"], "name2": products[second]["name"]}
    bought = [(products[sku]["name"], quantity) for sku, quantity in wanted.items()]
    filled = {"name": bought[0][0], "quantity": bought[0][1], "name2": bought[-1][0],
              "quantity2": bought[-1][1], **fields}  # fmt: skip
    back = ["o2"] if level == 4 else []
    steps = [
        call("search_products", text=bought[0][0]),
        *(call("list_orders") for _ in back),
        *(call("refund_order", order=number) for number in back),
        *(call("add_to_cart", sku=sku, quantity=n) for sku, n in wanted.items()),
        call("place_order"),
        call("answer", text="done"),
    ]
    return Problem(
        wordings=wordings, fields=filled, state=state, solution=tuple(steps),
        judge=lambda state, answer: _judge(state, wanted, back),
    )  # fmt: skip


def _few(generator: np.random.Generator, product: Mapping[str, Any]) -> int:
    return int(generator.integers(1, product["stock"] + 1))


def _judge(state: State, wanted: Mapping[str, int], back: list[str]) -> str:
    """What is bought and kept must be what was wanted, and nothing may lie in the cart."""
    before = 2 if back else 0
    orders = {number: one for number, one in state["orders"].items()}
    new = [one for number, one in sorted(orders.items()) if int(number[1:]) > before]
    kept = [one["items"] for one in new if not one["refunded"]]
    if kept != [dict(sorted(wanted.items()))]:
        return f"the orders are {kept}, not one of {dict(wanted)}"
    refunded = sorted(number for number in orders
                      if orders[number]["refunded"] and int(number[1:]) <= before)  # fmt: skip
    if refunded != back:
        return f"refunded are {refunded}, not {back}"
    return "something is left in the cart" if state["cart"] else ""


SHOP = Domain(
    name="shop",
    operations=OPERATIONS,
    levels=(
        Level(max_steps=12, description="buy one product"),
        Level(max_steps=12, description="buy the cheapest of a kind that is in stock"),
        Level(max_steps=16, description="buy two products in one order"),
        Level(max_steps=20, description="refund an earlier order and buy something instead"),
    ),
    generate=generate,
)
