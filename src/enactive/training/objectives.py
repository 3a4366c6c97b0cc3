"""What a stage of training minimises."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Protocol

from torch import Generator

from enactive.configuration import Part
from enactive.models.action_model import ActionModel
from enactive.models.batch import Batch
from enactive.models.heads.head import Loss


class Objective(Protocol):
    """A loss of a model on a batch of demonstrations."""

    def loss(self, model: ActionModel, batch: Batch, generator: Generator) -> Loss:
        """The loss; calls ``model(...)`` (not ``model.loss``), which parallel training hooks."""
        ...


class ObjectiveConfig(Part, abc.ABC, kind="objectives"):
    """Base of the configurations of objectives."""

    __slots__ = ()

    @abc.abstractmethod
    def build(self) -> Objective:
        """Make the objective."""


class Imitation:
    """Behaviour cloning: the head's own loss on the demonstrated chunks."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config(ObjectiveConfig):
        """Nothing to choose."""

        def build(self) -> Imitation:
            """Make the objective."""
            return Imitation()

    def loss(self, model: ActionModel, batch: Batch, generator: Generator) -> Loss:
        """See :meth:`Objective.loss`."""
        return model(batch, generator)
