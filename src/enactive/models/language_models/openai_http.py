"""Language models behind an OpenAI-compatible endpoint: hosts, vLLM, llama.cpp's server, ollama."""

from __future__ import annotations

import email.utils
import json
import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from enactive.models.language_models.language_model import (
    Completion,
    Listener,
    ModelError,
    Request,
)
from enactive.models.language_models.openai_protocol import (
    BadAnswer,
    Prices,
    Streamed,
    completion_of,
    request_body,
)
from enactive.seeding import numpy_generator

if TYPE_CHECKING:
    import httpx

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed."""


class OpenAIHTTP:
    """Asks one endpoint for chat completions. Safe to share between threads."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Endpoint, key, retries and prices."""

        model: str = ""
        """Name of the model, as the endpoint knows it."""
        url: str = "http://127.0.0.1:8000/v1"
        """Where the API begins; ``/chat/completions`` is added."""
        key_variable: str = ""
        """Environment variable that holds the key; empty sends none. The key itself is never
        described, logged or shown."""
        header_variables: Mapping[str, str] = field(default_factory=dict[str, str])
        """Further headers by the environment variables that hold their values, which are never
        described either."""
        stream: bool = False
        """Stream where nobody listens too, so that a long answer does not run into a timeout."""
        strict: bool = False
        """Ask for the provider's strict mode where a schema is given; it refuses some schemas."""
        limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
        """What the endpoint calls the limit of a completion."""
        timeout_s: float = 120.0
        """Longest silence of the server, s."""
        retries: int = 5
        """Further attempts after one that failed for a reason that may pass."""
        first_wait_s: float = 0.5
        """Before the first retry, s; it doubles with each, and half of it is drawn by lot."""
        longest_wait_s: float = 60.0
        """Longest wait, s, also where the server asks for a longer one."""
        jitter_seed: int = 0
        """Of the generator that the waits are drawn from."""
        max_bytes: int = 8_000_000
        """Longest answer that is read."""
        prices: Prices = Prices()
        """Of a million tokens, US dollars."""

        def build(self) -> OpenAIHTTP:
            """The client; nothing is sent yet.

            Raises:
                ModelError: a field is missing, or the variable of the key is not set.
            """
            return OpenAIHTTP(self)

    def __init__(self, config: OpenAIHTTP.Config, headers: Mapping[str, str] | None = None) -> None:
        """Made by :meth:`Config.build`, or with explicit ``headers``, whose names are described and
        whose values never."""
        import httpx

        if not config.model:
            raise ModelError("openai: model is empty; name one that the endpoint serves")
        if not config.url.startswith(("http://", "https://")):
            raise ModelError(f"openai: url is {config.url!r}; it begins with http:// or https://")
        self.config = config
        given = dict(headers or {})
        for header, variable in config.header_variables.items():
            given[header] = _variable("header_variables", variable)
        self._header_names = sorted(given)
        self._secrets = [value for value in given.values() if value]
        if config.key_variable:
            key = _variable("key_variable", config.key_variable)
            self._secrets.append(key)
            given["Authorization"] = f"Bearer {key}"
        given["Content-Type"] = "application/json"
        wait = httpx.Timeout(config.timeout_s, connect=min(10.0, config.timeout_s))
        self._client = httpx.Client(headers=given, timeout=wait)
        weakref.finalize(self, self._client.close)
        self._jitter = numpy_generator(config.jitter_seed, "openai", "retries")
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.config.model

    def describe(self) -> Mapping[str, Any]:
        """Endpoint, model and form of the requests; no key and no header's value."""
        return {
            "model": "openai",
            "name": self.config.model,
            "url": self._clean(self.config.url),
            "key_variable": self.config.key_variable,
            "headers": self._header_names,
            "strict": self.config.strict,
        }

    def complete(self, request: Request, listener: Listener | None = None) -> Completion:
        """Answer, trying again after what may pass. A listener hears a text that is cut off and
        asked for again from its beginning.

        Raises:
            ModelError: the endpoint refused, or failed at every attempt; the message has its words.
        """
        import httpx

        config = self.config
        body = request_body(
            request, config.model, limit_field=config.limit_field, strict=config.strict
        )
        problem = ""
        for attempt in range(config.retries + 1):
            wait: float | None = None
            try:
                return self._once(body, listener)
            except _Again as again:
                problem, wait = str(again), again.wait_s
            except BadAnswer as error:
                problem = str(error)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            if attempt < config.retries:
                time.sleep(self.wait_s(attempt, wait))
        raise ModelError(self._clean(
            f"{config.url}: no answer after {config.retries + 1} attempts; the last: {problem}"
        ))  # fmt: skip

    def wait_s(self, attempt: int, asked: float | None) -> float:
        """Seconds to wait after a failed attempt, counted from 0: what the server asked for, or
        half of a doubling time and up to as much again; never longer than the longest."""
        config = self.config
        doubled = min(config.first_wait_s * 2.0**attempt, config.longest_wait_s)
        with self._lock:
            drawn = doubled * (0.5 + 0.5 * float(self._jitter.random()))
        return min(max(drawn, asked or 0.0), config.longest_wait_s)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _once(self, body: dict[str, Any], listener: Listener | None) -> Completion:
        config = self.config
        streamed = config.stream or listener is not None
        if streamed:
            body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        url = f"{config.url.rstrip('/')}/chat/completions"
        with self._client.stream("POST", url, content=content) as response:
            if response.status_code != 200:
                self._refused(response)
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                text = b"".join(self._limited(response)).decode("utf-8", "replace")
                try:
                    answer = completion_of(json.loads(text), config.prices)
                except ValueError as error:
                    raise BadAnswer(f"the answer is no JSON: {text[:200]!r}") from error
                if listener is not None and answer.text:
                    listener(answer.text)
                return answer
            found = Streamed(config.prices)
            for data in _events(self._limited(response)):
                if data == "[DONE]":
                    break
                try:
                    chunk = json.loads(data)
                except ValueError as error:
                    raise BadAnswer(f"a chunk is no JSON: {data[:200]!r}") from error
                piece = found.add(chunk)
                if piece and listener is not None:
                    listener(piece)
            return found.completion()

    def _limited(self, response: httpx.Response) -> Iterator[bytes]:
        size = 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > self.config.max_bytes:
                raise ModelError(self._clean(f"{self.config.url}: the answer is longer than "
                                             f"{self.config.max_bytes} bytes"))  # fmt: skip
            yield piece

    def _refused(self, response: httpx.Response) -> None:
        head = b""
        for piece in response.iter_bytes():
            head += piece
            if len(head) > 2000:
                break
        said = head[:2000].decode("utf-8", "replace")
        message = self._clean(f"{self.config.url}: status {response.status_code}: {said}")
        if response.status_code in RETRIED:
            raise _Again(message, _asked_s(response.headers.get("retry-after", "")))
        raise ModelError(message)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return text


def _variable(field: str, name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise ModelError(f"openai: {field} names {name}, which is not set; export it, or leave "
                         f"{field} empty")  # fmt: skip
    return value


class _Again(Exception):
    def __init__(self, message: str, wait_s: float | None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def _asked_s(header: str) -> float | None:
    """Seconds of a Retry-After header: a number, or a date (RFC 9110, section 10.2.3)."""
    if not header:
        return None
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None


def _events(pieces: Iterator[bytes]) -> Iterator[str]:
    """The data of server-sent events (WHATWG HTML, section 9.2.6): lines of one event are joined,
    comments and other fields left out."""
    rest = b""
    data: list[str] = []
    for piece in pieces:
        *lines, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if not line:
                if data:
                    yield "\n".join(data)
                data = []
            elif line.startswith(b"data:"):
                data.append(line[5:].decode("utf-8", "replace").removeprefix(" "))
    if data:
        yield "\n".join(data)
