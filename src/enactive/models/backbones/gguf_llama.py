"""Llama-like language models from GGUF files, without the runtime that reads them usually.

``transformers`` reads them too, in half a minute for SmolLM2-135M, most of it conversions of the
vocabulary. Here the weights are dequantised array by array, and the tokenizer is put together from
the file's tokens and merges.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enactive.configuration import ConfigurationError

NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""A block's tensors in the file to those of ``transformers``."""
CONTROL = 3
"""Type of a token that stands for itself and is never made by merges."""


class LlamaFile:
    """An open GGUF file of a Llama-like model."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ConfigurationError: ``gguf`` is not installed, or the file holds another kind of model.
        """
        try:
            from gguf import GGUFReader
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "reading GGUF files needs the package gguf; install it with: pip install gguf"
            ) from error
        self.path = path
        self.reader = GGUFReader(str(path))
        kind = self.value("general.architecture")
        if kind != "llama" or self.value("tokenizer.ggml.model") != "gpt2":
            raise ConfigurationError(
                f"{path} holds a model of type {kind!r}; expected llama with a byte-level tokenizer"
            )

    def value(self, key: str) -> Any:
        """The metadata called ``key``.

        Raises:
            ConfigurationError: there is none.
        """
        field = self.reader.get_field(key)
        if field is None:
            raise ConfigurationError(f"{self.path} has no {key}; the file is not complete")
        return field.contents()

    def settings(self) -> Any:
        """The configuration of ``transformers``."""
        from transformers import LlamaConfig

        def of(key: str) -> Any:
            return self.value(f"llama.{key}")

        return LlamaConfig(
            vocab_size=of("vocab_size"),
            hidden_size=of("embedding_length"),
            intermediate_size=of("feed_forward_length"),
            num_hidden_layers=of("block_count"),
            num_attention_heads=of("attention.head_count"),
            num_key_value_heads=of("attention.head_count_kv"),
            max_position_embeddings=of("context_length"),
            rms_norm_eps=of("attention.layer_norm_rms_epsilon"),
            rope_parameters={"rope_type": "default", "rope_theta": of("rope.freq_base")},
            bos_token_id=self.value("tokenizer.ggml.bos_token_id"),
            eos_token_id=self.value("tokenizer.ggml.eos_token_id"),
            pad_token_id=self.value("tokenizer.ggml.padding_token_id"),
            tie_word_embeddings=True,
        )

    def weights(self) -> dict[str, Tensor]:
        """``float32`` weights of ``LlamaModel``, by its names."""
        from gguf.quants import dequantize

        heads = {
            "attn_q": self.value("llama.attention.head_count"),
            "attn_k": self.value("llama.attention.head_count_kv"),
        }
        found: dict[str, Tensor] = {}
        for tensor in self.reader.tensors:
            array = dequantize(tensor.data, tensor.tensor_type)
            name = tensor.name.removesuffix(".weight")
            if name.startswith("blk."):
                _, number, kind = name.split(".")
                if kind in heads:
                    array = unpermute(array, heads[kind])
                target = f"layers.{number}.{NAMES[kind]}.weight"
            else:
                target = {"token_embd": "embed_tokens.weight", "output_norm": "norm.weight"}[name]
            found[target] = torch.from_numpy(np.array(array, dtype=np.float32))
        return found

    def tokenizer(self) -> Any:
        """The tokenizer of ``transformers``: byte-level pairs, digits one by one."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        tokens: list[str] = self.value("tokenizer.ggml.tokens")
        kinds: list[int] = self.value("tokenizer.ggml.token_type")
        merges = [tuple(merge.split(" ")) for merge in self.value("tokenizer.ggml.merges")]
        vocabulary = {token: number for number, token in enumerate(tokens)}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        digits = pre_tokenizers.Digits(individual_digits=True)
        pieces = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pieces])
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(
            [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
        )
        names = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding"}
        special = {
            name: tokens[self.value(f"tokenizer.ggml.{key}_token_id")]
            for name, key in names.items()
        }
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def unpermute(array: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of a query or key projection ``(heads·d, in)`` in the order of ``transformers``.

    GGUF keeps the two halves that rotary positions turn into one another interleaved.
    """
    pairs = array.reshape(heads, array.shape[0] // heads // 2, 2, *array.shape[1:])
    return pairs.swapaxes(1, 2).reshape(array.shape)
