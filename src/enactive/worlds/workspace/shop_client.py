"""The shop of the workspace when it is served elsewhere: the same tools, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from enactive.actions.toolbox import ToolError
from enactive.worlds.workspace.problem import Domain, Operation, State
from enactive.worlds.workspace.shop import SHOP

ATTEMPTS = 3
"""How often a request is sent whose reply does not come, where it may be sent again."""


def shop_at(url: str) -> Domain:
    """The shop's domain, whose state is a session of the server at ``url``.

    A request that got no reply is sent again if it only reads or carries an idempotency key, which
    the server honours; otherwise its fate is unknown, and the error says so.
    """
    # The loopback needs neither proxies nor certificates, which take 20 ms to load.
    client = httpx.Client(base_url=url, timeout=30.0, trust_env=False, verify=False)

    def send(method: str, path: str, body: Any, key: str, *, again: bool) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                reply = client.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                if attempt == ATTEMPTS or not again:
                    raise
                continue
            if reply.is_error:
                raise ToolError(reply.json()["error"])
            return reply.json()

    def begin(state: State, name: str) -> State:
        send("PUT", f"/sessions/{name}", state, "", again=True)
        return {"session": name}

    def look(state: State) -> State:
        return send("GET", f"/sessions/{state['session']}", {}, "", again=True)

    def served(operation: Operation) -> Operation:
        tool = operation.tool

        def apply(state: State, arguments: Mapping[str, Any], key: str) -> Any:
            path = f"/sessions/{state['session']}/{tool.name}"
            again = tool.effects.repeatable or bool(key)
            return send("POST", path, dict(arguments), key, again=again)["value"]

        effects = replace(tool.effects, open_world=True)
        return Operation(tool=replace(tool, effects=effects), apply=apply)

    return replace(
        SHOP,
        operations=tuple(served(operation) for operation in SHOP.operations),
        begin=begin,
        look=look,
        close=client.close,
        sealed=False,
    )
