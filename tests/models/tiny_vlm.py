"""Tiny random models of the real Hugging Face classes, written to disk as published ones are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

WORDS = [
    "open the drawer and close it again, then pick up the red block",
    "What should the robot do to push the t-shaped block onto the target?",
    "User: Assistant: user assistant",
]
QWEN = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
QWEN += ["<|video_pad|>"]
SMOL = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>"]
SMOL += ["<image>"]


QWEN2_PROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "min_pixels": 256,
    "max_pixels": 4096,
    "patch_size": 4,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def write_tokenizer(path: Path, special: list[str]) -> Any:
    """A byte-level BPE tokenizer trained on a few sentences, in real tokenizer files."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<bos>", "<eos>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )
    fast.save_pretrained(path)
    return fast


def _text(**changes: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **changes,
    }


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {"vision_start": 2, "vision_end": 3, "image": 4, "video": 5}
    return {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(QWEN[place])
        for name, place in names.items()
    }


def _write_processor(path: Path, settings: dict[str, Any]) -> None:
    (path / "preprocessor_config.json").write_text(json.dumps(settings))


def qwen2(path: Path) -> Any:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    tokenizer = write_tokenizer(path, QWEN)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    config = Qwen2VLConfig(
        text_config=_text(rope_parameters=rope),
        vision_config={
            "depth": 2,
            "embed_dim": 16,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 4,
        },
        **_qwen_ids(tokenizer),
    )
    _write_processor(path, QWEN2_PROCESSOR)
    return Qwen2VLForConditionalGeneration(config)


def qwen2_5(path: Path) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = write_tokenizer(path, QWEN)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    config = Qwen2_5_VLConfig(
        text_config=_text(rope_parameters=rope),
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 4,
            "window_size": 16,
            "fullatt_block_indexes": [1],
        },
        **_qwen_ids(tokenizer),
    )
    _write_processor(path, QWEN2_PROCESSOR)
    return Qwen2_5_VLForConditionalGeneration(config)


def qwen3(path: Path) -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer = write_tokenizer(path, QWEN)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    config = Qwen3VLConfig(
        text_config=_text(rope_parameters=rope, head_dim=8),
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 4,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        **_qwen_ids(tokenizer),
    )
    _write_processor(
        path,
        {
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "size": {"shortest_edge": 256, "longest_edge": 4096},
            "patch_size": 4,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
    )
    return Qwen3VLForConditionalGeneration(config)


def smolvlm(path: Path) -> Any:
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

    return SmolVLMForConditionalGeneration(_idefics(path, SmolVLMConfig, "SmolVLMImageProcessor"))


def idefics3(path: Path) -> Any:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    return Idefics3ForConditionalGeneration(
        _idefics(path, Idefics3Config, "Idefics3ImageProcessor")
    )


def _idefics(path: Path, kind: type, processor: str) -> Any:
    tokenizer = write_tokenizer(path, SMOL)
    config = kind(
        text_config=_text(model_type="llama"),
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=0,
    )
    _write_processor(
        path,
        {
            "image_processor_type": processor,
            "do_image_splitting": True,
            "size": {"longest_edge": 128},
            "max_image_size": {"longest_edge": 32},
            "resample": 1,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
    )
    return config


def paligemma(path: Path) -> Any:
    return _paligemma(path, _text(model_type="gemma", head_dim=8, num_key_value_heads=1))


def paligemma2(path: Path) -> Any:
    text = _text(model_type="gemma2", head_dim=8, query_pre_attn_scalar=8, sliding_window=4096)
    return _paligemma(path, text)


def _paligemma(path: Path, text: dict[str, Any]) -> Any:
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

    tokenizer = write_tokenizer(path, ["<image>"])
    config = PaliGemmaConfig(
        text_config=text,
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "projection_dim": 32,
            "vision_use_head": False,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        pad_token_id=0,
    )
    _write_processor(
        path,
        {
            "image_processor_type": "SiglipImageProcessor",
            "size": {"height": 32, "width": 32},
            "image_seq_length": 16,
            "resample": 3,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
    )
    return PaliGemmaForConditionalGeneration(config)


FAMILIES: dict[str, Callable[[Path], Any]] = {
    "qwen2_vl": qwen2,
    "qwen2_5_vl": qwen2_5,
    "qwen3_vl": qwen3,
    "smolvlm": smolvlm,
    "idefics3": idefics3,
    "paligemma": paligemma,
    "paligemma2": paligemma2,
}
ATTENTION = {"paligemma2": "eager"}
"""Families that need another implementation of attention than the default."""


def write(name: str, path: Path) -> Any:
    """A random model of the family ``name`` in the directory ``path``; returns the model."""
    path.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FAMILIES[name](path).eval()
    model.save_pretrained(path)
    return model
