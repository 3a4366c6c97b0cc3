"""PushT (package ``gym-pusht``): push a T-shaped block onto its mark with a round pusher.

Florence et al., "Implicit Behavioral Cloning" (CoRL 2021), in the form of Chi et al., "Diffusion
Policy" (RSS 2023). The world is :class:`~enactive.worlds.gymnasium_world.GymnasiumWorld` with this
mapping, and the example of how any Gymnasium environment is brought in.
"""

from __future__ import annotations

from dataclasses import dataclass

from enactive.actions.spaces import Group, VectorSpace
from enactive.worlds.gymnasium_world import GymnasiumWorld

RATE_HZ = 10.0
"""10 physics steps of 10 ms each per control step."""

INSTRUCTIONS = (
    "push the T-shaped block onto the green mark",
    "move the T until it covers the target",
    "push the tee to its goal",
    "align the T block with the green outline",
)

HELD_OUT = (
    "cover the green T with the grey one",
    "bring the block to the marked place by pushing it",
    "shove the letter T into its target pose",
)

ACTION_SPACE = VectorSpace(
    groups=(
        Group(
            name="pusher", quantity="position", representation="scalar", reference="absolute",
            frame="board", unit="px", low=0.0, high=512.0, size=2,
        ),
    ),
    rate_hz=RATE_HZ,
)  # fmt: skip
"""Where the pusher shall go: x to the right and y down, on a board of 512 by 512."""


class PushT:
    """Namespace of the configuration; the world is a :class:`GymnasiumWorld`."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of PushT."""

        image_size: int = 96
        """Side of the square picture, pixels."""
        max_steps: int = 300
        """Control steps after which an episode is truncated."""

        def build(self) -> GymnasiumWorld:
            """The world; makes the environment."""
            size = self.image_size
            return GymnasiumWorld.Config(
                env_id="gym_pusht/PushT-v0",
                module="gym_pusht",
                arguments={
                    "obs_type": "pixels_agent_pos",
                    "observation_width": size,
                    "observation_height": size,
                },
                name="pusht",
                task="push-t",
                instructions=INSTRUCTIONS,
                held_out_instructions=HELD_OUT,
                cameras={"top": "pixels"},
                states={"proprio": "agent_pos"},
                entries={"proprio": ("pusher.x", "pusher.y")},
                units={"proprio": "px"},
                action=ACTION_SPACE,
                max_steps=self.max_steps,
                rate_hz=RATE_HZ,
            ).build()
