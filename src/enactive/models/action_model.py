"""A whole action model: normaliser, sentence encoder, backbone and head behind one contract.

On disk a model is a directory: ``config.yaml`` (its configuration), ``interface.json`` (cameras,
state vectors and action space with their conventions), ``statistics.json``, ``versions.json`` (of
what the weights mean), ``model.safetensors`` (every parameter and buffer), ``language.safetensors``
(embeddings of instructions it has seen). A trainer's checkpoint is such a directory with more
beside it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from enactive import configuration
from enactive.actions.decision import Cost
from enactive.actions.slots import Slots
from enactive.actions.spaces import VectorSpace
from enactive.models.augmentation import RandomShift
from enactive.models.backbones.backbone import BackboneConfig, Features, Instructions
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.batch import Batch
from enactive.models.chunk_reference import RelativeChunks
from enactive.models.heads.flow_matching import FlowMatching
from enactive.models.heads.head import (
    Generators,
    HeadConfig,
    HeadSpec,
    Loss,
    Samples,
    TakesIntent,
)
from enactive.models.language import LanguageEncoder
from enactive.models.normalization import Normalizer, statistics_key
from enactive.models.tokenizers.report import TokenizerReport, report
from enactive.models.tokenizers.tokenizer import Progress, Tokenizer, TokenizerConfig
from enactive.observations import ObservationSpec
from enactive.seeding import child_seed

ASSETS = "backbone"
"""Directory of the backbone's files in a model's, see :meth:`Backbone.save_assets`."""

Statistics = Mapping[str, Mapping[str, Any]]
"""Feature name (``"action"``, a state vector's name) to ``mean, std, min, max, q01, q99, ...``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """What a model sees and what it produces, with every convention."""

    consumes: ObservationSpec
    """Cameras with their sizes and state vectors, in the order the model takes them."""
    produces: VectorSpace
    """The action space its chunks are in; with several embodiments the unified vector of
    :attr:`slots`, which no world accepts."""
    slots: Slots | None = None
    """The embodiments and where their actions lie in the unified vector; None for one embodiment
    that needs no name."""

    @property
    def embodiments(self) -> tuple[str, ...]:
        """Names of the embodiments, in the order of their indices in batches; empty for one."""
        return () if self.slots is None else self.slots.names

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        data = {
            "consumes": configuration.to_dict(self.consumes),
            "produces": self.produces.to_dict(),
        }
        return data if self.slots is None else {**data, "slots": self.slots.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Interface:
        """The inverse of :meth:`to_dict`."""
        return cls(
            consumes=configuration.from_dict(ObservationSpec, data["consumes"]),
            produces=VectorSpace.from_dict(data["produces"]),
            slots=Slots.from_dict(data["slots"]) if "slots" in data else None,
        )


class ActionModel(nn.Module):
    """Observation windows and instructions to action chunks in the units of the action space."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Parts of the model and the shape of its windows."""

        cameras: tuple[str, ...] = ()
        """Cameras it sees, in order; empty means all that the data has."""
        states: tuple[str, ...] = ("proprio",)
        """State vectors it sees, in order."""
        observation_steps: int = 1
        """T, observations in a window: the current one and T-1 before it."""
        horizon: int = 16
        """H, actions in a chunk."""
        relative: bool = False
        """Predict displacements as places relative to the chunk's begin: the same chunks said
        another way, see :mod:`enactive.models.chunk_reference`."""
        normalization: Normalizer.Config = field(default_factory=Normalizer.Config)
        """How states and actions are normalised."""
        language: LanguageEncoder.Config = field(default_factory=LanguageEncoder.Config)
        """The frozen sentence encoder."""
        backbone: BackboneConfig = field(default_factory=SmallVLA.Config)
        """Images, state and instruction to features."""
        head: HeadConfig = field(default_factory=FlowMatching.Config)
        """Features to chunks."""
        tokenizer: TokenizerConfig | None = None
        """Chunks to ids, for heads that predict ids; fitted before the first training step."""
        augmentation: RandomShift = field(default_factory=RandomShift)
        """What happens to images in training."""
        language_noise: float = 0.0
        """Length of the Gaussian noise that training adds to an instruction's embedding, which has
        length 1: keeps the policy from leaning on the exact embeddings of the wordings it saw."""
        instructed: bool = configuration.added(True)
        """Whether it is told the instruction. If not, every wording reads as the empty one and its
        embedding as zeros: a policy of several tasks then has to see which one is wanted, or to be
        told in another way, see :mod:`enactive.policies.intent`."""

        def build(
            self,
            interface: Interface,
            statistics: Statistics,
            seed: int,
            assets: Path | None = None,
        ) -> ActionModel:
            """Make the model.

            Args:
                interface: of the data or the world; cameras and states not named by this
                    configuration are left out of it.
                statistics: of the training data.
                seed: decides every initial weight.
                assets: the backbone's files in a checkpoint whose weights will be put in.

            Raises:
                ConfigurationError: a camera or state vector is not in the interface, or the head
                    does not work with the tokenizer.
                MissingStatistics: a normalised feature has no statistics.
            """
            if (reason := self.head.refuses(self.tokenizer)) is not None:
                raise configuration.ConfigurationError(f"model.head: {reason}")
            return ActionModel(self, select(self, interface), statistics, seed, assets)

    def __init__(
        self,
        config: ActionModel.Config,
        interface: Interface,
        statistics: Statistics,
        seed: int,
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.interface = interface
        consumes, produces = interface.consumes, interface.produces
        states = {state.name: state.size for state in consumes.states}
        wanted = {"action": produces.size, **states}
        embodiments = interface.embodiments
        shared = config.normalization.shared if embodiments else tuple(wanted)
        keys = [name for name in wanted if name in shared]
        keys += [
            statistics_key(e, name) for e in embodiments for name in wanted if name not in keys
        ]
        self.statistics = {key: dict(statistics[key]) for key in keys if key in statistics}
        self.normalizer = config.normalization.build(wanted, self.statistics, embodiments)
        self.reference = RelativeChunks(produces, interface.slots) if config.relative else None
        self.language = config.language.build()
        with seeded_initialisation(seed):
            make = config.backbone.build
            if assets is not None:
                make = functools.partial(config.backbone.restore, assets)
            self.backbone = make(
                cameras={camera.name: (camera.height, camera.width) for camera in consumes.cameras},
                states=states,
                observation_steps=config.observation_steps,
                language_size=config.language.size,
            )
            tokenizer: Tokenizer | None = None
            if config.tokenizer is not None:
                tokenizer = config.tokenizer.build(
                    action_size=produces.size, horizon=config.horizon
                ).requires_grad_(False)  # only its own fitting changes it
            self.head = config.head.build(
                HeadSpec(
                    width=self.backbone.width,
                    action_size=produces.size,
                    horizon=config.horizon,
                    tokenizer=tokenizer,
                    layers=len(self.backbone.blocks),
                    embodiments=embodiments,
                )
            )

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The head's tokenizer."""
        return self.head.tokenizer

    def fit_tokenizer(
        self, chunks: Tensor, generator: Generator, progress: Progress | None = None
    ) -> None:
        """Fit the tokenizer, if there is one and it has not been fitted.

        Args:
            chunks: ``float32 (N, H, A)`` of the training set, in the action space's units.
            generator: source of every random number.
            progress: told how far it is.
        """
        if self.tokenizer is not None and not self.tokenizer.fitted:
            normalised = self.normalise_chunk(chunks.to(self.device))
            self.tokenizer.fit(normalised, generator, progress)

    def report_tokenizer(self, chunks: Tensor) -> TokenizerReport:
        """What the tokenizer does to ``chunks (N, H, A)``, which are in the action space's units.

        Raises:
            ValueError: the model has no tokenizer.
        """
        if self.tokenizer is None:
            raise ValueError("this model has no tokenizer")
        return report(self.tokenizer, self.normalise_chunk(chunks.to(self.device)))

    def normalise_chunk(self, chunk: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """What the head predicts for ``chunk (B, ..., H, A)``, given in the action space's units.

        Args:
            chunk: of B windows.
            embodiment: ``int64 (B,)``, where there are several.
        """
        if self.reference is not None:
            chunk = self.reference.relative(chunk, embodiment)
        return self.normalizer.normalize("action", chunk, embodiment)

    def denormalise_chunk(self, chunk: Tensor, embodiment: Tensor | None = None) -> Tensor:
        """The inverse of :meth:`normalise_chunk`, except that with ``relative`` each step is kept
        within the action space's bounds."""
        chunk = self.normalizer.denormalize("action", chunk, embodiment)
        return chunk if self.reference is None else self.reference.displacements(chunk, embodiment)

    def features(
        self, batch: Batch, layers: bool = False, noise: Generator | None = None
    ) -> Features:
        """The backbone's features of a batch on this model's device.

        Args:
            layers: keep the features of every layer.
            noise: source of the noise on the instructions' embeddings; None adds none.
        """
        embedding: Tensor | None = None
        texts = batch.instructions if self.config.instructed else ("",) * batch.size
        if self.backbone.uses_embedding and not self.config.instructed:
            embedding = torch.zeros(batch.size, self.config.language.size, device=self.device)
        elif self.backbone.uses_embedding:
            embedding = self.language.encode(texts)  # (B, E)
            if noise is not None and self.config.language_noise:
                draws = torch.randn(embedding.shape, generator=noise, device=noise.device)
                scale = self.config.language_noise / embedding.shape[-1] ** 0.5
                embedding = embedding + scale * draws.to(embedding.device)
            embedding = embedding.to(self.device)
        instructions = Instructions(texts=texts, embedding=embedding)
        state = {
            name: self.normalizer.normalize(name, value, batch.embodiment)
            for name, value in batch.state.items()
        }
        layers = layers or self.head.needs_layers
        found = self.backbone(batch.images, state, instructions, layers)
        if batch.embodiment is not None:
            found = replace(found, embodiment=batch.embodiment)
        return found

    def loss(self, batch: Batch, generator: Generator) -> Loss:
        """The head's loss on a batch with chunks; augments images when in training mode.

        Args:
            batch: with ``action`` and ``mask``, on this model's device.
            generator: source of every random number of augmentation and loss.
        """
        if batch.action is None or batch.mask is None:
            raise ValueError("a batch without action and mask has no loss")
        if self.training:
            images = {
                name: self.config.augmentation(image, generator)
                for name, image in batch.images.items()
            }
            batch = replace(batch, images=images)
        chunk = self.normalise_chunk(batch.action, batch.embodiment)  # (B, H, A)
        features = self.features(batch, noise=generator if self.training else None)
        return self.head.loss(features, chunk, batch.mask, generator)

    def forward(self, batch: Batch, generator: Generator) -> Loss:
        """:meth:`loss`, under the name that data-parallel wrappers hook into."""
        return self.loss(batch, generator)

    @torch.inference_mode()
    def sample(self, batch: Batch, generator: Generators, samples: int = 1) -> Samples:
        """``samples`` chunks per window, ``float32 (B, S, H, A)`` in the action space's units.

        They are not clipped to the space's bounds. With a list of B generators a row's noise does
        not depend on the other rows; its last bits still may, because matrix libraries choose their
        blocking by batch size. Callers that need equal bits keep the batch size fixed
        (:meth:`Batch.padded`).
        """
        batch = batch.to(self.device)
        drawn = self.head.sample(self.features(batch), generator, samples)
        return self._in_units(drawn, batch)

    @torch.inference_mode()
    def sample_given(
        self, batch: Batch, generator: Generators, intent: Tensor, samples: int = 1
    ) -> Samples:
        """:meth:`sample`, with the coarsest part of every chunk given.

        Args:
            batch: of B windows.
            generator: as for :meth:`sample`.
            intent: what the head's ``intent_of`` made of other chunks, ``int64 (B, l)``.
            samples: S.

        Raises:
            ValueError: the head's chunks have no coarsest part that can be given.
        """
        if not isinstance(self.head, TakesIntent):
            raise ValueError(
                f"the head {self.config.head.part_name()} cannot be given an intent: its chunks "
                "have no coarsest part; train one that can, such as next_scale"
            )
        batch = batch.to(self.device)
        intent = intent.to(self.device)
        drawn = self.head.sample_given(self.features(batch), generator, intent, samples)
        return self._in_units(drawn, batch)

    def _in_units(self, drawn: Samples, batch: Batch) -> Samples:
        """What the head drew, in the action space's units, with the backbone's pass counted."""
        return replace(
            drawn,
            chunk=self.denormalise_chunk(drawn.chunk, batch.embodiment),
            cost=drawn.cost + Cost(backbone_passes=1),
        )

    def save(self, path: Path, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write the model to the directory ``path``, which is made if need be.

        Files are written in place: a caller who replaces a model that others may be reading writes
        to a new directory and renames it, as the trainer does.

        Args:
            path: the directory.
            weights: what to store instead of this model's own ``state_dict``.
        """
        path.mkdir(parents=True, exist_ok=True)
        configuration.save_yaml(self.config, path / "config.yaml")
        _write_json(path / "interface.json", self.interface.to_dict())
        _write_json(path / "versions.json", {"head": self.head.version})
        _write_json(path / "statistics.json", _plain(self.statistics))
        state = self.state_dict() if weights is None else weights
        save_file({name: t.detach().cpu().contiguous() for name, t in state.items()},
                  path / "model.safetensors")  # fmt: skip
        self.backbone.save_assets(path / ASSETS)
        if not (self.backbone.uses_embedding and self.config.instructed):
            return
        table = self.language.table
        save_file(
            {text: embedding.clone() for text, embedding in table.items()},
            path / "language.safetensors",
            metadata={"identity": self.language.identity},
        )

    @staticmethod
    def load(path: Path, weights: str = "model") -> ActionModel:
        """The model in the directory ``path``, in evaluation mode, on the CPU.

        Args:
            path: what :meth:`save` wrote, or a trainer's checkpoint.
            weights: ``"model"``, or ``"ema"`` for a checkpoint's averaged weights.

        Raises:
            FileNotFoundError: ``path`` holds no such model.
        """
        file = path / f"{weights}.safetensors"
        if not file.is_file():
            found = ", ".join(sorted(p.stem for p in path.glob("*.safetensors"))) or "none"
            raise FileNotFoundError(
                f"{path} holds no {weights}.safetensors; weights there: {found}"
            )
        config = configuration.load_yaml(ActionModel.Config, path / "config.yaml")
        interface = Interface.from_dict(json.loads((path / "interface.json").read_text()))
        statistics = json.loads((path / "statistics.json").read_text())
        model = config.build(interface, statistics, seed=0, assets=path / ASSETS)
        _same_version(path, model)
        model.load_state_dict(load_file(file))
        embeddings = path / "language.safetensors"
        if embeddings.is_file():
            with safe_open(embeddings, framework="pt") as opened:
                identity = opened.metadata()["identity"]
                table = {text: opened.get_tensor(text) for text in opened.keys()}  # noqa: SIM118
            model.language.preload(table, identity)
        return model.eval()


def select(config: ActionModel.Config, interface: Interface) -> Interface:
    """``interface`` with only the cameras and states that ``config`` names, in its order."""
    spec = interface.consumes
    try:
        cameras = tuple(spec.camera(name) for name in config.cameras) or spec.cameras
        states = tuple(spec.state(name) for name in config.states)
    except KeyError as error:
        raise configuration.ConfigurationError(
            f"model.cameras or model.states: {error.args[0]}"
        ) from error
    consumes = ObservationSpec(cameras=cameras, states=states)
    return replace(interface, consumes=consumes)


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Draw initial weights from ``seed``, and leave PyTorch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "initial weights"))
        yield


def _same_version(path: Path, model: ActionModel) -> None:
    """Refuse weights that meant something else when they were trained.

    Raises:
        ConfigurationError: names both versions.
    """
    file = path / "versions.json"
    trained = json.loads(file.read_text())["head"] if file.is_file() else 1
    if trained != model.head.version:
        raise configuration.ConfigurationError(
            f"{path} was trained with version {trained} of the head "
            f"{model.config.head.part_name()}, and this is version {model.head.version}: the same "
            "weights would mean something else. Load it with the release that trained it, or "
            "train again"
        )


def _plain(statistics: Statistics) -> dict[str, dict[str, Any]]:
    return {
        name: {key: np.asarray(value).tolist() for key, value in entry.items()}
        for name, entry in statistics.items()
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
