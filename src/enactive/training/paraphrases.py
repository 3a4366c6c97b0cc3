"""Paraphrases: a demonstration told in another wording of its task every time it is seen.

Recorded episodes have one wording each, so that with few demonstrations a wording all but names the
episode, and a model can learn the pair instead of the language. Drawing the wording anew for every
window takes that shortcut away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from enactive.configuration import ConfigurationError
from enactive.episodes.windows import Subset


class Paraphrases:
    """Replaces wordings by others of the same task."""

    def __init__(self, wordings: Mapping[str, Sequence[str]]) -> None:
        """
        Args:
            wordings: task name to all of its wordings.

        Raises:
            ConfigurationError: two tasks share a wording, so that it does not say which is meant.
        """
        self._choices: dict[str, tuple[str, ...]] = {}
        owner: dict[str, str] = {}
        for task, words in wordings.items():
            for word in words:
                if word in owner:
                    raise ConfigurationError(
                        f"paraphrase: {word!r} is a wording of {owner[word]!r} and of {task!r}; "
                        "give the tasks wordings of their own, or switch paraphrase off"
                    )
                owner[word] = task
                self._choices[word] = tuple(words)

    @classmethod
    def of(cls, parts: Iterable[Subset]) -> Paraphrases:
        """The wordings that the episodes of ``parts`` were recorded with, by the task's name.

        Datasets that were not recorded here do not say which instructions mean the same; theirs
        stay as they are.
        """
        wordings: dict[str, dict[str, None]] = {}
        for part in parts:
            chosen = set(part.episodes)
            for record in part.dataset.records:
                if record.episode in chosen:
                    task = record.header.task
                    wordings.setdefault(task.name, {})[task.instruction] = None
        return cls({task: tuple(words) for task, words in wordings.items()})

    def __call__(self, instructions: Sequence[str], generator: torch.Generator) -> tuple[str, ...]:
        """One wording for each of the B ``instructions``, uniform over those of its task."""
        draws = torch.rand(len(instructions), generator=generator).tolist()
        told: list[str] = []
        for instruction, draw in zip(instructions, draws, strict=True):
            choices = self._choices.get(instruction, (instruction,))
            told.append(choices[int(draw * len(choices))])
        return tuple(told)
