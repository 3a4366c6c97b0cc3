"""Low-rank adapters on frozen layers (LoRA, Hu et al., 2021, section 4), by ``peft``.

``W x`` becomes ``W x + (alpha / rank) · B A x`` with ``A (rank, in)`` random and ``B (out, rank)``
zero at the start; W is frozen. There is no dropout: every random draw of training comes from an
explicit generator, and dropout layers would draw from PyTorch's global one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from enactive.configuration import ConfigurationError

if TYPE_CHECKING:
    from enactive.models.action_model import ActionModel


class LoRA:
    """See the module."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Size and places of the adapters."""

        rank: int = 16
        """Rank of a layer's change."""
        alpha: float = 32.0
        """The change is scaled by alpha / rank."""
        targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
        """Last names of the linear layers that get adapters."""

    def __init__(self, config: LoRA.Config) -> None:
        self.config = config

    def inject(self, module: nn.Module) -> None:
        """Freeze ``module`` and put trainable adapters, ``float32``, on its targets.

        Raises:
            ConfigurationError: a target is not there, or ``peft`` is not installed.
        """
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "backbone.lora needs the package peft; install it with: pip install peft"
            ) from error
        linear = {
            name.rpartition(".")[2]
            for name, part in module.named_modules()
            if isinstance(part, nn.Linear)
        }
        for target in self.config.targets:
            if target not in linear:
                raise ConfigurationError(
                    f"backbone.lora.targets: no linear layer is called {target!r}; there are: "
                    f"{', '.join(sorted(linear))}"
                )
        config = LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,  # type: ignore[arg-type]
            target_modules=list(self.config.targets),
            lora_dropout=0.0,
        )
        inject_adapter_in_model(config, module)
        for name, parameter in module.named_parameters():
            adapter = ".lora_" in name
            parameter.requires_grad_(adapter)
            if adapter:
                parameter.data = parameter.data.float()


@torch.no_grad()
def merge_adapters(model: ActionModel) -> None:
    """Add the adapters of ``model``'s backbone to the layers they are on, in place.

    Afterwards the model computes the same up to rounding without the adapters' cost, its
    configuration has no ``lora``, and what is saved loads without ``peft``.

    Raises:
        ValueError: there are no adapters.
    """
    from peft.tuners.lora import LoraLayer

    backbone: Any = model.backbone
    found = [(n, m) for n, m in backbone.named_modules() if isinstance(m, LoraLayer)]
    if not found:
        raise ValueError("the model has no adapters to merge; its backbone has no lora")
    for name, layer in found:
        layer.merge()
        parent, _, last = name.rpartition(".")
        setattr(backbone.get_submodule(parent), last, layer.get_base_layer())
    backbone.config = replace(backbone.config, lora=None)
    model.config = replace(model.config, backbone=backbone.config)
