"""``enactive serve``: a policy over the network, for others' evaluation harnesses."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from enactive.cli.arguments import parse_with_parts
from enactive.cli.mistakes import UserError, wiring
from enactive.cli.policies import BUILT_IN, find_policy

PARTS = {
    "protocol": ("protocols", "openpi"),
    "world": ("worlds", "metaworld"),
    "selection": ("selections", "single"),
}
TOKEN = "ENACTIVE_TOKEN"
"""Environment variable with the token, where no file is named."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Serve a policy to clients of openpi or to vla-eval, until interrupted.

    POLICY is the run or checkpoint that `enactive train` made, or one of expert, random and hold,
    which need --world. What clients must send is printed and published to them; a map says where
    in their messages it is. The server listens on this machine only, unless there is a token.

    Examples:
      enactive serve runs/policy
      enactive serve runs/policy --protocol vla_eval --port 8001
      enactive serve expert --world pusht --protocol.chunk 1
      enactive serve runs/policy --map map.yaml --execute 4
      enactive serve runs/policy --host 0.0.0.0 --token-file token.txt

    From another terminal, with this machine's worlds:
      enactive evaluate remote --world pusht --tasks all --out runs/served
    """

    policy: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="POLICY")]
    """A run or checkpoint directory, or expert, random, hold."""
    host: str = "127.0.0.1"
    """Interface to listen on; any but loopback needs a token."""
    port: int = 8000
    """TCP port; 0 takes a free one and prints it."""
    token_file: Path | None = None
    """File whose only line is the token that clients must show; by default the environment's
    ENACTIVE_TOKEN, and none without it."""
    connections: int = 16
    """Clients at a time."""
    message_mib: int = 32
    """Largest message, MiB."""
    map: Path | None = None
    """YAML file that says where observations are in messages; by default the protocol's habits."""
    execute: int = 8
    """Actions of a chunk that are executed before the policy looks again."""
    samples: int = 1
    """Candidates that a chunk policy draws at each prediction."""
    embodiment: str = ""
    """Which of a model's embodiments acts."""
    weights: Literal["auto", "ema", "model"] = "auto"
    """Averaged or last weights of a checkpoint; auto takes the average where there is one."""
    device: str = "cpu"
    """Where the model runs."""
    protocol: Any = None
    """What is spoken, named with --protocol."""
    world: Any = None
    """The world that a policy without training acts in, named with --world."""
    selection: Any = None
    """How a chunk policy chooses what to execute, named with --selection."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    return parse_with_parts(Arguments, argv, "serve", PARTS, recorded=("world",))


def run(arguments: Arguments) -> int:
    """Serve until interrupted."""
    from enactive.serving.server import PolicyServer

    with wiring():
        server = PolicyServer(*prepare(arguments))
        try:
            server.run(lambda url: print(_greeting(url, server), flush=True))
        except KeyboardInterrupt:
            print("stopped")
    return 0


def prepare(arguments: Arguments) -> tuple[Any, Any]:
    """Where to listen, and the dialogue with the policy behind it.

    Raises:
        UserError: no such policy, a map that does not fit, or an open door without a token.
    """
    from enactive.configuration import load_yaml
    from enactive.serving.arrays import Limits
    from enactive.serving.mapping import ObservationMap
    from enactive.serving.server import Listening

    with wiring():
        token = os.environ.get(TOKEN, "")
        if arguments.token_file is not None:
            token = arguments.token_file.read_text(encoding="utf-8").strip()
        listening = Listening(
            host=arguments.host,
            port=arguments.port,
            token=token,
            connections=arguments.connections,
            limits=Limits(message_bytes=arguments.message_mib * 2**20),
        )
        found = find_policy(arguments)
        spec: Any = None  # a trained policy knows what it sees without a world
        if arguments.world is not None:
            world = arguments.world.build()
            spec = world.spec
            world.close()
        elif arguments.policy in BUILT_IN:
            raise UserError(f"{arguments.policy}: --world names the world that it acts in")
        policy = found.build(spec)
        chosen = load_yaml(ObservationMap, arguments.map) if arguments.map else None
        return listening, arguments.protocol.build(policy, chosen)


def _greeting(url: str, server: Any) -> str:
    """What is served, and what clients must send."""
    served = server.dialogue.served
    lines = [f"{served.policy.name} at {url}; an observation holds"]
    wired = served.wired
    for picture in wired.map.pictures:
        camera = wired.spec.camera(picture.camera)
        size = f"uint8 ({camera.height}, {camera.width}, 3)"
        lines.append(f"  {' > '.join(picture.path)}: {size}, {picture.layout}")
    for vector in wired.map.vectors:
        entries = [entry for name in vector.states for entry in wired.spec.state(name).names]
        lines.append(f"  {' > '.join(vector.path)}: ({len(entries)},) {', '.join(entries)}")
    for vector in wired.map.privileged:
        lines.append(f"  {' > '.join(vector.path)}: simulator truth, {', '.join(vector.states)}")
    if wired.map.instruction:
        lines.append(f"  {' > '.join(wired.map.instruction)}: the instruction")
    lines.append(f"and an answer {served.chunk} actions: {', '.join(served.space.names)}")
    return "\n".join(lines)
