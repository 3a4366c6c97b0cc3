"""MetaGPT's software company as a policy: five roles, typed documents, programs that are executed.

Hong et al. 2024, "MetaGPT: Meta Programming for a Multi-Agent Collaborative Framework" (arXiv
2308.00352), §3: requirement -> product requirements -> design -> tasks -> program -> tests, each a
typed document; what tests say goes back to the engineer. A program that passed is the action; what
the world says of it is one more report to the engineer.

Before that nothing has an effect: helper functions are tested on their own, and the whole program
is only checked and run up to its first call of a tool, in a sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from enactive.actions.digital import CodeSpace, UnionSpace
from enactive.actions.spaces import ActionSpace
from enactive.actions.tools import Call, CallResult, Returned, Tool
from enactive.configuration import to_dict
from enactive.models.language_models.language_model import LanguageModel
from enactive.observations import Observation
from enactive.policies.agents.documents import Document, Kind
from enactive.policies.agents.flow import Failed, Flow, Result, call, do, lift
from enactive.policies.agents.flow_policy import FlowPolicy
from enactive.policies.agents.prompts import signature
from enactive.policies.agents.roles import Role, Team
from enactive.policies.agents.works import Checked, Inputs, TeamState, Write
from enactive.worlds.code.executor import CodeExecutor, Ended

_LINE = 400


class Requirement(Document):
    """What somebody wants, in his words."""

    text: str
    tools: tuple[str, ...] = Field(default=(), strict=False)
    """What programs may call: signatures."""


class ProductRequirements(Document):
    """What the program must do."""

    goals: list[str] = Field(min_length=1, max_length=6)
    requirements: list[str] = Field(min_length=1, max_length=12)


class Function(Document):
    """One helper function of the program."""

    signature: str = Field(max_length=_LINE, description="def name(argument: type) -> type")
    purpose: str = Field(max_length=_LINE)


class Design(Document):
    """Helper functions, and how the program uses them and the tools."""

    functions: list[Function] = Field(max_length=8)
    flow: str = Field(max_length=1000)


class Tasks(Document):
    """What is to be written, in order."""

    tasks: list[str] = Field(min_length=1, max_length=12)


class Program(Document):
    """Helper functions that call no tools, and the main part that does."""

    functions: str = Field(max_length=1900)
    main: str = Field(max_length=1900)

    @property
    def source(self) -> str:
        """Both parts."""
        return f"{self.functions}\n\n{self.main}\n"


class Tests(Document):
    """Assertions about the helper functions."""

    assertions: list[str] = Field(max_length=12)


class Defect(Document):
    """What is wrong with the last program."""

    report: str


class Accepted(Document):
    """A program that passed its tests."""

    source: str


def execute(executor: CodeExecutor, tools: tuple[Tool, ...], source: str) -> str:
    """What goes wrong in a program up to its first call, which is not made; empty if nothing."""
    session = executor.open(tools, 0)
    try:
        state = session.start(source)
        if not isinstance(state, Ended):
            session.cancel()
            return ""
        return state.failure.message if state.failure is not None else ""
    finally:
        session.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """Checks a program by executing it up to its first call."""

    executor: CodeExecutor
    tools: tuple[Tool, ...] = ()

    def __call__(self, document: Document, inputs: Inputs, /) -> Flow[TeamState, str]:
        assert isinstance(document, Program)
        return lift(execute, self.executor, self.tools, document.source, through=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunTests:
    """Executes the assertions on the program's functions, without tools."""

    executor: CodeExecutor
    name: str = "run_tests"
    consumes: tuple[Kind, ...] = (Program, Tests)
    on: tuple[Kind, ...] = ()
    produces: tuple[Kind, ...] = (Accepted, Defect)

    def do(self, inputs: Inputs, goal: str, feedback: str) -> Flow[TeamState, Document]:
        program, tests = inputs["Program"], inputs["Tests"]
        assert isinstance(program, Program) and isinstance(tests, Tests)
        source = "\n".join((program.functions, *tests.assertions))
        found: Flow[TeamState, str] = lift(execute, self.executor, (), source, through=True)

        def report(problem: str) -> Document:
            return Defect(report=problem) if problem else Accepted(source=program.source)

        return found.map(report)


def company(
    model: LanguageModel,
    executor: CodeExecutor,
    tools: tuple[Tool, ...],
    config: MetaGPT.Config,
) -> Team:
    """The team: product manager, architect, project manager, engineer, quality assurance."""

    def write(
        name: str, instruction: str, kind: Kind, *consumes: Kind, on: tuple[Kind, ...] = ()
    ) -> Write:
        return Write(
            model=model, name=name, instruction=instruction, consumes=consumes, kind=kind, on=on,
            attempts=config.attempts, max_tokens=config.max_tokens,
        )  # fmt: skip

    def executed(work: Write) -> Checked:
        return Checked(work=work, check=Runs(executor=executor, tools=tools), rounds=config.checks)

    return Team(
        roles=(
            Role(
                name="product manager",
                works=(
                    write("write_requirements", "Say what the program must do.",
                          ProductRequirements, Requirement),
                ),
            ),
            Role(
                name="architect",
                works=(
                    write("design", "Design helper functions that call no tools, and how the main "
                          "part uses them and the tools.", Design, Requirement,
                          ProductRequirements),
                ),
            ),
            Role(
                name="project manager",
                works=(write("list_tasks", "List what is to be written, in order.", Tasks,
                             Design),),
            ),
            Role(
                name="engineer",
                works=(
                    executed(write("write_program", "Write the whole Python program.",
                                   Program, Requirement, Design, Tasks, on=(Tasks,))),
                    executed(write("revise", "Write the whole program again, without the defect.",
                                   Program, Requirement, Design, Program, Defect, on=(Defect,))),
                ),
            ),
            Role(
                name="quality assurance",
                works=(
                    write("write_tests", "Write assertions that call the helper functions.",
                          Tests, Requirement, Design, on=(Design,)),
                    RunTests(executor=executor),
                ),
            ),
        ),
        begins_with=(Requirement, Defect),
        wanted=Accepted,
        rounds=config.rounds,
    )  # fmt: skip


class MetaGPT:
    """The company; made with ``MetaGPT.Config(...).build(model, accepts)``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Its budgets."""

        deliveries: int = 3
        """Programs, at most, that are handed to the world."""
        rounds: int = 20
        """Rounds of the team, at most, for one of them."""
        attempts: int = 3
        """Completions, at most, for one document that validates."""
        checks: int = 3
        """Programs, at most, that the engineer writes before one runs up to its first call."""
        max_tokens: int = 1000
        """Of one document."""

        def build(
            self, model: LanguageModel, accepts: ActionSpace, executor: CodeExecutor | None = None
        ) -> FlowPolicy:
            """The policy for a world that accepts programs.

            Args:
                model: writes all documents.
                accepts: what the world accepts: programs, or a union with them.
                executor: runs tests and checks; by default Monty, a sandbox of its own.

            Raises:
                ValueError: the world accepts no Python programs.
            """
            member, space = _programs(accepts)
            if executor is None:
                from enactive.worlds.code.monty import MontyExecutor

                executor = MontyExecutor.Config().build()
            team = company(model, executor, space.tools, self)

            def encode(calls: tuple[Call, ...]) -> Any:
                source = calls[0].arguments["source"]
                return {"space": member, "action": source} if member else source

            def finish(end: Result[Any, Any]) -> Any:
                failure = (
                    f"{end.where}: {end.failure.message}"
                    if isinstance(end, Failed)
                    else ("its deliveries are used up")
                )
                source = "# The company has ended: " + " ".join(failure.split())[:_LINE]
                return {"space": member, "action": source} if member else source

            return FlowPolicy(
                label="metagpt",
                flow=lambda observation, seed: _serve(team, _required(observation, space), self),
                finish=finish,
                space=accepts,
                state=team.state,
                encode=encode,
                read=_told,
                settings={
                    "config": to_dict(self),
                    "model": dict(model.describe()),
                    "executor": dict(executor.describe()),
                },
            )


@do
async def _serve(team: Team, requirement: Requirement, config: MetaGPT.Config) -> str:
    """Deliver programs until the world is content, which ends the episode and this."""
    given: Document = requirement
    source = ""
    for _ in range(config.deliveries):
        accepted = await team.work(given)
        assert isinstance(accepted, Accepted)
        source = accepted.source
        told = await call("program", source=source)
        given = Defect(report=f"The program ran, and the task is not done. The world says: {told}")
    return source


def _required(observation: Observation, space: CodeSpace) -> Requirement:
    said = "\n".join(filter(None, (observation.instruction, observation.text)))
    return Requirement(text=said, tools=tuple(signature(tool) for tool in space.tools))


def _told(observation: Observation, calls: tuple[Call, ...], /) -> list[CallResult]:
    return [Returned(value=observation.text or "")]


def _programs(accepts: ActionSpace) -> tuple[str, CodeSpace]:
    """The programs of a space, and the name of the union's member that they are."""
    members = dict(accepts.spaces) if isinstance(accepts, UnionSpace) else {"": accepts}
    for name, space in members.items():
        if isinstance(space, CodeSpace) and space.language == "python":
            return name, space
    raise ValueError(
        f"accepts: MetaGPT writes Python programs, and the world accepts {type(accepts).__name__}; "
        "give it a world that accepts code"
    )
