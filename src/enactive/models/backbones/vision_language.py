"""Vision-language models of Hugging Face ``transformers`` as backbones.

The prompt holds every camera's pictures (camera by camera, oldest first), the instruction and, as
its last tokens, the state vectors, projected to the size of the model's own embeddings. Features
are the language model's hidden states; the pooled feature is the last position's.

A checkpoint holds all weights and, in ``backbone/``, the model's configuration, its tokenizer and
the settings of its image processor: it loads without the files it was trained from. Neither
torchvision nor a processor of ``transformers`` is needed to prepare pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from enactive.configuration import ConfigurationError
from enactive.models.backbones.backbone import Backbone, BackboneConfig, Features, Instructions
from enactive.models.backbones.families.family import Family
from enactive.models.backbones.families.paligemma import PaliGemma
from enactive.models.backbones.families.qwen import Qwen
from enactive.models.backbones.families.smolvlm import SmolVLM
from enactive.models.backbones.lora import LoRA
from enactive.models.backbones.sequence import (
    Prompts,
    StateTokens,
    attention_mask,
    without_padding,
)
from enactive.registry import suggest

FAMILIES: Mapping[str, type[Family]] = {
    "qwen2_vl": Qwen,
    "qwen2_5_vl": Qwen,
    "qwen3_vl": Qwen,
    "smolvlm": SmolVLM,
    "idefics3": SmolVLM,
    "paligemma": PaliGemma,
}
"""``model_type`` of a model's config.json to its family."""

ModelPart = Literal["vision", "connector", "language"]


class VisionLanguage(Backbone):
    """See the module."""

    uses_embedding: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(BackboneConfig):
        """Which model, and what of it is trained."""

        path: str = ""
        """A directory with the model's files, or its name on the Hugging Face hub."""
        revision: str | None = None
        """Commit or tag on the hub; None means the newest one that is there."""
        download: bool = False
        """Whether files may be fetched from the hub; otherwise they must be in the local cache."""
        dtype: Literal["float32", "bfloat16"] = "float32"
        """Type of the model's weights. bfloat16 halves the memory and is refused for weights that
        are trained; adapters, state tokens and the head are float32 in any case."""
        prompt: str = "What should the robot do to {instruction}?"
        """What the model is told; {instruction} stands for the task's words."""
        text_tokens: int = 48
        """Most tokens of an instruction in its prompt. Shorter ones are padded: more cost time."""
        max_pixels: int | None = None
        """Largest area at which the Qwen models see a picture, pixels: fewer make fewer tokens."""
        freeze: tuple[ModelPart, ...] = ()
        """Parts whose weights stay as they are."""
        lora: LoRA.Config | None = None
        """Adapters on the language model, whose own weights then stay as they are."""
        attention: Literal["sdpa", "eager"] = "sdpa"
        """Implementation of attention; PaliGemma 2 caps its logits and needs eager."""
        checkpointing: bool = False
        """Whether training recomputes activations instead of keeping them: less memory, slower."""

        def build(
            self,
            *,
            cameras: Mapping[str, tuple[int, int]],
            states: Mapping[str, int],
            observation_steps: int,
            language_size: int,
        ) -> VisionLanguage:
            """Make the backbone with the weights at ``path``, see :meth:`BackboneConfig.build`.

            Raises:
                ConfigurationError: the files are not there or are of no family known here.
            """
            return VisionLanguage(self, cameras, states, observation_steps, files(self), True)

        def restore(
            self,
            assets: Path,
            *,
            cameras: Mapping[str, tuple[int, int]],
            states: Mapping[str, int],
            observation_steps: int,
            language_size: int,
        ) -> VisionLanguage:
            """See :meth:`BackboneConfig.restore`: ``path`` is not looked at."""
            found = {"pretrained_model_name_or_path": str(assets), "local_files_only": True}
            return VisionLanguage(self, cameras, states, observation_steps, found, False)

    def __init__(
        self,
        config: VisionLanguage.Config,
        cameras: Mapping[str, tuple[int, int]],
        states: Mapping[str, int],
        observation_steps: int,
        source: Mapping[str, Any],
        pretrained: bool,
    ) -> None:
        """
        Args:
            config: of the backbone.
            cameras: name to (H, W).
            states: name to D.
            observation_steps: T.
            source: where the files are, for ``from_pretrained``.
            pretrained: whether to read the weights; otherwise they are left undefined.
        """
        super().__init__()
        if not cameras:
            raise ConfigurationError(
                "backbone vision_language needs a camera, and the data has none; "
                "use the backbone small_vla for states alone"
            )
        if "{instruction}" not in config.prompt:
            raise ConfigurationError("backbone.prompt must contain {instruction}")
        self.config = config
        self.camera_names = tuple(cameras)
        self.observation_steps = observation_steps
        self.settings, self.tokenizer, self.processor = load_settings(source)
        check_attention(self.settings, config)
        self.family = FAMILIES[self.settings.model_type](
            self.settings, self.processor, self.tokenizer
        )
        if config.max_pixels is not None:
            self.family.limit(config.max_pixels)
        self.model = load_model(self.settings, source, config, pretrained)
        if config.checkpointing:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        embedding = self.model.get_input_embeddings()
        self.width = int(embedding.weight.shape[1])
        sizes = [size for size in cameras.values() for _ in range(observation_steps)]
        slots = observation_steps * len(states)
        self.prompts = Prompts(
            self.tokenizer,
            lambda text: self.family.prompt(sizes, config.prompt.format(instruction=text)),
            lambda ids, valid: self.family.positions(self.model, sizes, ids, valid),
            config.text_tokens,
            slots,
        )
        size = float(embedding(torch.arange(100)).detach().float().square().mean().sqrt())
        self.states = StateTokens(states, observation_steps, self.width, size) if states else None
        self.freeze()

    @property
    def blocks(self) -> nn.ModuleList:  # type: ignore[override]
        """The language model's layers."""
        return self.family.language(self.model).layers

    def freeze(self) -> None:
        """Apply ``freeze`` and ``lora`` of the configuration.

        Raises:
            ConfigurationError: bfloat16 weights would be trained.
        """
        config = self.config
        parts = self.family.parts(self.model)
        for name in config.freeze:
            for module in parts[name]:
                module.requires_grad_(False)
        if config.lora is not None:
            LoRA(config.lora).inject(self.family.language(self.model))
        trained = [p for p in self.model.parameters() if p.requires_grad]
        if any(p.dtype == torch.bfloat16 for p in trained):
            raise ConfigurationError(
                "backbone.dtype bfloat16: an optimizer's small steps are lost in weights of this "
                "type; use float32 and precision bfloat16, or freeze vision and connector and "
                "give the language model lora"
            )

    def forward(
        self,
        images: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        instructions: Instructions,
        layers: bool = False,
    ) -> Features:
        """See :meth:`Backbone.forward`.

        Tokens are those of the whole prompt, zero where a short instruction is padded. Layers are
        the hidden states after each layer, the last one after the final norm, as ``transformers``
        gives them.
        """
        views = [
            images[name][:, step]  # (B, H, W, 3)
            for name in self.camera_names
            for step in range(self.observation_steps)
        ]
        prompt = self.prompts(instructions.texts, views[0].device)
        embedded = self.model.get_input_embeddings()(prompt.ids)  # (B, L, D)
        if self.states is not None:
            own = self.states(state).to(embedded.dtype)  # (B, S, D)
            embedded = torch.cat([embedded[:, : -own.shape[1]], own], dim=1)
        mask = attention_mask(prompt.valid, self.family.bidirectional)  # (B, 1, L, L)
        if self.config.attention == "eager":  # which adds its mask
            mask = torch.zeros_like(mask, dtype=embedded.dtype).masked_fill(
                ~mask, torch.finfo(embedded.dtype).min
            )
        positions = prompt.positions  # (K, B, L)
        found = self.model(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=positions if len(positions) > 1 else positions[0],
            use_cache=False,
            output_hidden_states=layers,
            **self.family.pixels(views),
        )
        tokens = without_padding(found.last_hidden_state, prompt.valid)  # (B, L, D)
        kept = found.hidden_states[1:] if layers else ()
        return Features(
            tokens=tokens,
            pooled=tokens[:, -1],
            layers=tuple(without_padding(hidden, prompt.valid) for hidden in kept),
        )

    def save_assets(self, path: Path) -> None:
        """See :meth:`Backbone.save_assets`."""
        for part in (self.settings, self.tokenizer, self.processor):
            part.save_pretrained(path)


def files(config: VisionLanguage.Config) -> dict[str, Any]:
    """Where ``from_pretrained`` finds the files of ``config.path``."""
    if not config.path:
        raise ConfigurationError(
            "backbone.path is empty; name a directory with a model's files, or a model on the "
            "Hugging Face hub, e.g. --backbone.path Qwen/Qwen2.5-VL-3B-Instruct"
        )
    local = Path(config.path).expanduser()
    name = str(local) if local.is_dir() else config.path
    found: dict[str, Any] = {"pretrained_model_name_or_path": name}
    found["local_files_only"] = local.is_dir() or not config.download
    if config.revision is not None:
        found["revision"] = config.revision
    return found


def load_settings(source: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """The model's configuration, tokenizer and image processor.

    Raises:
        ConfigurationError: they are not there, or of no family known here.
    """
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer

    name = source["pretrained_model_name_or_path"]
    try:
        settings = AutoConfig.from_pretrained(**source)
        if settings.model_type not in FAMILIES:
            raise ConfigurationError(
                f"backbone.path: {name} is a model of type {settings.model_type!r}; "
                f"{suggest(settings.model_type, FAMILIES)}"
            )
        tokenizer = AutoTokenizer.from_pretrained(**source)
        processor = AutoImageProcessor.from_pretrained(backend="pil", **source)
    except OSError as error:
        raise ConfigurationError(
            f"backbone.path: {name} has not all files of a model (config.json, tokenizer.json, "
            "preprocessor_config.json, weights as safetensors), or is neither a directory nor in "
            f"the local cache of hub models. Fetch it with: hf download {name}; or set "
            f"backbone.download. ({error})"
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    for part in (settings, settings.get_text_config(), settings.vision_config):
        for field in vars(part):  # dropout would draw from PyTorch's global generator
            if field.endswith("dropout"):
                setattr(part, field, 0.0)
    return settings, tokenizer, processor


def check_attention(settings: Any, config: VisionLanguage.Config) -> None:
    """Refuse an implementation of attention that leaves out what the model was trained with."""
    capped = getattr(settings.get_text_config(), "attn_logit_softcapping", None)
    if capped is not None and config.attention != "eager":
        raise ConfigurationError(
            "backbone.attention: this language model caps its attention logits, which sdpa leaves "
            "out; use eager"
        )


def load_model(
    settings: Any, source: Mapping[str, Any], config: VisionLanguage.Config, pretrained: bool
) -> Any:
    """The model without its language head, in evaluation mode.

    Raises:
        ConfigurationError: some of its weights are not in the files.
    """
    from transformers import AutoModel
    from transformers.initialization import no_init_weights
    from transformers.utils import logging

    options: dict[str, Any] = {
        "dtype": getattr(torch, config.dtype),
        "attn_implementation": config.attention,
    }
    if not pretrained:
        with no_init_weights():
            return AutoModel.from_config(settings, **options).eval()
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # it would tear the trainer's own
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # the language head is left out on purpose
    try:
        model, report = AutoModel.from_pretrained(
            config=settings, output_loading_info=True, use_safetensors=True, **source, **options
        )
    except OSError as error:
        raise ConfigurationError(f"backbone.path: no weights as safetensors ({error})") from error
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
    if report["missing_keys"] or report["mismatched_keys"]:
        wrong = sorted({*report["missing_keys"], *map(str, report["mismatched_keys"])})
        raise ConfigurationError(
            f"backbone.path: {len(wrong)} weights are not in the files as this release of "
            f"transformers expects them, e.g. {', '.join(wrong[:3])}"
        )
    return model.eval()
