"""``enactive agent``: a language model does a task with tools; every step is in a log."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from enactive.cli.arguments import choose_parts, describe_choices, documentation, parse
from enactive.cli.loading import ACTIONS
from enactive.cli.mistakes import UserError, wiring

if TYPE_CHECKING:
    from enactive.runtime.agent_run import AgentResult
    from enactive.runtime.settings import AgentSettings

PARTS = {"planner": ("agents", "react"), "world": ("worlds", None)}
SHOWN_TASKS = ("files-1", "tables-1", "units-1")
"""Tasks of the workspace that the embedded model is shown solved; larger models are shown none."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """Let a language model do a task with tools, and keep a log of every step.

    The default model is embedded and needs no key: SmolLM2 with 135 million parameters, which does
    a few kinds of tasks of two or three steps and not always. Without --world the task is done in a
    folder (--workspace), whose files are changed only after you were asked; nothing but you judges
    the result. With --task of a world with tools, e.g. the seeded tasks of --world workspace, the
    world does. A run that was cut off goes on where it stopped.

    Examples:
      enactive agent "How many grams are 52.7 stone?"
      enactive agent "One file mentions K-911. Put it into the folder archive under the same \\
        name, then answer." --workspace papers
      enactive agent --world workspace --task files-1 --seed 1000001 --out runs/agent
      enactive agent "Sum up notes/*.txt in summary.txt" --model openai:qwen3@http://127.0.0.1:8000/v1
      enactive agent "..." --model openai:gpt-5-mini@https://api.openai.com/v1 --key OPENAI_API_KEY
      enactive agent "..." --model models/qwen.gguf --planner plan_then_act --approve all
      enactive trace runs/agent
    """

    task_text: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")] = ""
    """What is to be done, in words; by default the world's own words for --task."""
    model: str = "embedded"
    """embedded, openai:NAME@URL, or a GGUF file."""
    key: str = ""
    """With openai: the environment variable that holds the key."""
    workspace: Path = Path(".")
    """The folder to work in, where no --world is given."""
    task: str = ""
    """Name of a task of the world; by default its first."""
    seed: int = 0
    """Of the world and of everything that is drawn."""
    out: Path = Path("runs/agent")
    """Directory; it gets actions.sqlite, which enactive trace, replay and fork read."""
    approve: Literal["ask", "all", "none"] = "ask"
    """Calls that change something outside the world, files of the folder for example: ask you
    about each, make all of them, or none."""
    steps: int = 30
    """Most decisions."""
    tokens: int | None = None
    """Most tokens that models read and write."""
    seconds: float | None = None
    """Most wall time, s."""
    money: float | None = None
    """Most US dollars, at --prices."""
    prices: tuple[float, float] = (0.0, 0.0)
    """With openai: US dollars for a million tokens read and written."""
    planner: Any = None
    """How the model is asked, named with --planner."""
    world: Any = None
    """The world, when it is named with --world."""


def read(argv: Sequence[str]) -> Arguments:
    """The arguments that the words spell."""
    choices, rest = choose_parts(argv, PARTS)
    planner = choices["planner"].config
    if not choices["planner"].given and _embedded(rest):
        planner = small_planner()
    return parse(
        Arguments,
        rest,
        "agent",
        defaults={"planner": planner, "world": choices["world"].config},
        description=f"{documentation(Arguments)}\n\n{describe_choices(PARTS, choices)}",
    )


def _embedded(words: Sequence[str]) -> bool:
    """Whether the words ask for the default model."""
    said = [word.partition("=")[2] for word in words if word.startswith("--model=")]
    said += [after for word, after in itertools.pairwise(words) if word == "--model"]
    return not said or said[-1] == "embedded"


def small_planner() -> Any:
    """ReAct as the embedded model does best with it."""
    from enactive.policies.agents.demonstrations import Demonstrations
    from enactive.policies.agents.react import SMALL, ReAct

    return ReAct.Config(**SMALL, demonstrations=Demonstrations(tasks=SHOWN_TASKS))


def model_of(name: str, key: str = "", prices: tuple[float, float] = (0.0, 0.0)) -> Any:
    """The configuration of the model that ``--model`` names.

    Raises:
        UserError: it has none of the forms.
    """
    if name == "embedded":
        from enactive.models.language_models.embedded import Embedded

        return Embedded.Config()
    if name.startswith("openai:"):
        from enactive.models.language_models.openai_http import OpenAIHTTP
        from enactive.models.language_models.openai_protocol import Prices

        called, at, url = name.removeprefix("openai:").rpartition("@")
        if not (called and at and url):
            raise UserError(f"--model: {name!r}: write openai:NAME@URL, the URL as far as /v1")
        costs = Prices(prompt=prices[0], completion=prices[1])
        return OpenAIHTTP.Config(model=called, url=url, key_variable=key, prices=costs)
    if name.endswith(".gguf"):
        from enactive.models.language_models.embedded import Embedded

        return Embedded.Config(path=Path(name))
    raise UserError(f"--model: {name!r} is none of embedded, openai:NAME@URL and FILE.gguf")


def settings_of(arguments: Arguments) -> AgentSettings:
    """Everything that decides the episode."""
    from enactive.runtime.budget import Budget
    from enactive.runtime.settings import AgentSettings
    from enactive.worlds.folder import Folder

    world = arguments.world
    if world is None:
        if not arguments.task_text:
            raise UserError('say what is to be done: enactive agent "TASK", or name a world and '
                            "one of its tasks: --world workspace --task files-1")  # fmt: skip
        world = Folder.Config(path=arguments.workspace)
    task = arguments.task
    if not task:
        made = world.build()
        task = made.spec.tasks[0].name
        made.close()
    return AgentSettings(
        world=world,
        planner=arguments.planner,
        model=model_of(arguments.model, arguments.key, arguments.prices),
        task=task,
        instruction=arguments.task_text,
        seed=arguments.seed,
        budget=Budget(
            steps=arguments.steps,
            tokens=arguments.tokens,
            seconds=arguments.seconds,
            money=arguments.money,
        ),
    )


def run(arguments: Arguments) -> int:
    """Run the episode, or go on with it; 0 if it succeeded."""
    import anyio

    from enactive.cli.agent_progress import Live
    from enactive.cli.approval import Person
    from enactive.episodes.action_log import ActionLog
    from enactive.models.language_models.language_model import ModelError
    from enactive.runtime.run import header_of, resume
    from enactive.runtime.run import run as run_episode
    from enactive.runtime.tape import Diverged

    live = Live()
    checks = () if arguments.approve == "all" else (Person(live, arguments.approve == "ask"),)
    with wiring():
        settings = settings_of(arguments)
        try:
            agent = settings.build(checks=checks, watcher=live)
            header_of(agent)  # refuses a planner that does not fit the world
        except ModelError as error:
            raise UserError(str(error)) from error
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ActionLog(arguments.out / ACTIONS) as log:
        cut_off = [one.id for one in log.episodes() if one.outcome is None]
        id = cut_off[-1] if cut_off else f"agent-{len(log.episodes())}"
        live.begins(id, agent.model.name if agent.model else "", bool(cut_off))

        async def go() -> AgentResult:
            return await (resume if cut_off else run_episode)(agent, log, id)

        try:
            with live:
                result = anyio.run(go)
        except ModelError as error:
            raise UserError(f"{error}; the same command goes on from here") from error
        except Diverged as error:
            raise UserError(
                f"{id} was cut off and cannot go on as another run ({error}); ask for the same "
                "again, or give another --out"
            ) from error
        except KeyboardInterrupt:
            live.stopped()
            raise
        finally:
            agent.world.close()
            close = getattr(agent.model, "close", None)
            if close is not None:
                close()
    live.ended(result, arguments.out)
    return 0 if result.success else 1
