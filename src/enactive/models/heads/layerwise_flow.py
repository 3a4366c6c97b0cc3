"""Flow matching that attends to the backbone layer by layer (StarVLA-PI; after pi0).

pi0 (Black et al., 2024, section IV and appendix B) lets every layer of its action expert attend to
the same layer of the language model. StarVLA (2026, its "PI" framework) keeps that with a separate
head: layer i of the head cross-attends to the hidden states after layer i of the backbone, where
:mod:`enactive.models.heads.flow_matching` attends to the last ones only. Law of times, loss and
sampling are those of flow matching.

Hidden states grow from layer to layer, so each is normalised for its reader.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from enactive.models.backbones.backbone import Features
from enactive.models.heads.flow_matching import FlowMatching, VelocityNetwork
from enactive.models.heads.head import HeadSpec


class LayerwiseVelocity(VelocityNetwork):
    """Noisy chunk, time and the features of every layer to dx/dt."""

    def __init__(self, config: FlowMatching.Config, spec: HeadSpec) -> None:
        super().__init__(config, spec)
        self.sources = sources(config.depth, spec.layers)
        self.memory_norms = nn.ModuleList(nn.LayerNorm(spec.width) for _ in self.sources)

    def memory(self, features: Features, place: int) -> Tensor:
        """See :meth:`VelocityNetwork.memory`."""
        return self.memory_norms[place](features.layers[self.sources[place]])


def sources(depth: int, layers: int) -> tuple[int, ...]:
    """Which of ``layers`` backbone layers each of ``depth`` head layers reads.

    In order, evenly spread, the last one always among them; with equal numbers i reads i.
    """
    return tuple((place + 1) * layers // depth - 1 for place in range(depth))


class LayerwiseFlow(FlowMatching):
    """See the module."""

    needs_layers: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(FlowMatching.Config):
        """Size of the velocity network and number of integration steps."""

        depth: int = 0
        """Decoder layers, at most as many as the backbone has; 0 means as many."""

        def build(self, spec: HeadSpec) -> LayerwiseFlow:
            """Make the head, see :meth:`HeadConfig.build`."""
            return LayerwiseFlow(self, spec)

    def __init__(self, config: LayerwiseFlow.Config, spec: HeadSpec) -> None:
        if not spec.layers:
            raise ValueError("head layerwise_flow needs a backbone that gives its layers' features")
        if not 0 <= config.depth <= spec.layers:
            raise ValueError(
                f"head.depth must be from 0 to the backbone's {spec.layers} layers, got "
                f"{config.depth}"
            )
        super().__init__(
            replace(config, depth=config.depth or spec.layers), spec, LayerwiseVelocity
        )
