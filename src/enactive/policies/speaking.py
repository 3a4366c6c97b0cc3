"""Answering in words: anything that replies to a question with text, as a policy.

What replies (a language model, a person at a prompt, a lookup) is told what the policy is shown and
gives words; the policy reads an option off them, as strictly as
:func:`enactive.worlds.questions.item.answer_in` does. The words are in the chain, and the answer
is made from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.actions.spaces import ActionSpace
from enactive.actions.tokens import ActionToken
from enactive.observations import Observation, ObservationSpec, Task
from enactive.worlds.questions.item import ANSWERS, LETTERS, answer_in, read


class Speaker(Protocol):
    """What replies to questions."""

    def reply(self, observation: Observation) -> str:
        """Words for ``observation.instruction``, which holds question and options. Must depend on
        nothing but the observation."""
        ...


@dataclass(frozen=True, slots=True)
class SpeakingPolicy:
    """A speaker in the world ``questions``."""

    speaker: Speaker
    consumes: ObservationSpec
    """Which pictures the speaker looks at."""
    name: str = "speaker"
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON values that decide what it says: model, prompt, decoding."""

    @property
    def produces(self) -> ActionSpace:
        return ANSWERS

    def describe(self) -> Mapping[str, Any]:
        return {"policy": "speaking", "name": self.name, **self.details}

    def begin(self, task: Task, seed: int) -> None:
        return None

    def act(self, observations: Sequence[Observation], memories: Sequence[None]) -> list[Decision]:
        decisions: list[Decision] = []
        for observation in observations:
            words = self.speaker.reply(observation)
            place = answer_in(words, read(observation.instruction)[1])
            answer = len(LETTERS) if place is None else place
            chain = Chain((
                ActionToken(id="reply", kind="language", content=words, source=self.name),
                ActionToken(id="answer", kind="raw", content=answer, parents=("reply",),
                            source="answer_in"),
            ))  # fmt: skip
            decisions.append(Decision(action=answer, chain=chain, cost=Cost(), memory=None))
        return decisions
