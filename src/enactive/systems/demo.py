"""The demo: from scripted demonstrations to a measured policy, as one resumable recipe.

Six steps, each an ordinary command of its own with the same parts:

1. *collect*: Meta-World's scripted experts show five tasks, in part disturbed so that the data also
   holds how to recover; what is imitated is always the undisturbed action.
2. *train*: one policy for all tasks, from two cameras, proprioception and the instruction.
3. *evaluate*: unseen seeds, wordings that no demonstration had.
4. *swap*: the two faucet tasks share their scene; each scene is told both instructions.
5. *replay*: every evaluation episode is executed again and compared bit for bit.
6. *report*: one HTML page with pictures, intervals and provenance.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from enactive.episodes.compaction import compact
from enactive.episodes.dataset import Dataset
from enactive.episodes.journal import Journal
from enactive.episodes.provenance import provenance
from enactive.evaluation.collect import collect
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.files import write_atomically
from enactive.evaluation.plan import Rules, evaluation_plan, join, swap_plan
from enactive.evaluation.progress import progress_bar
from enactive.evaluation.replay import ReplayReport, replay_all
from enactive.evaluation.report.write import write_report
from enactive.evaluation.results import Evaluation, summarise
from enactive.evaluation.sources import headers, training_record
from enactive.models.action_model import ActionModel
from enactive.models.backbones.small_vla import SmallVLA
from enactive.models.heads.l1 import L1
from enactive.policies.chunked import ChunkedPolicy
from enactive.policies.expert import ExpertPolicy
from enactive.training.config import Optimizer, Source, Training
from enactive.training.trainer import train
from enactive.worlds.metaworld import MetaWorld
from enactive.worlds.pool import WorldPool

FAUCETS = ("faucet-open", "faucet-close")
"""Two tasks of one scene: only the instruction says which is meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """From demonstrations to a measured policy, with a report, in 11 minutes on two cores.

    Collects demonstrations of five Meta-World tasks, trains one language-conditioned policy from
    pixels, evaluates it on unseen seeds and wordings, swaps the instructions of the two faucet
    tasks, replays every evaluation episode bit for bit and writes report.html. An interrupted demo
    goes on where it stopped when it is started again.

    Examples:
      enactive demo
      enactive demo --out runs/quick --demonstrations 3 --steps 50 --episodes 2 --swaps 1
      enactive demo --tasks faucet-open faucet-close drawer-open --steps 4000
    """

    out: Path = Path("runs/demo")
    """Directory of everything the demo makes."""
    tasks: tuple[str, ...] = (*FAUCETS, "drawer-open", "button-press-topdown", "window-open")
    """Tasks of Meta-World."""
    demonstrations: int = 30
    """Demonstrations of each task."""
    steps: int = 4000
    """Optimizer steps."""
    episodes: int = 20
    """Evaluation episodes of each task."""
    max_steps: int = 300
    """Steps after which an evaluation episode has failed; experts take about 100."""
    swaps: int = 10
    """Seeds of the instruction swap; each is run in both faucet scenes under both instructions."""
    workers: int = 2
    """Worlds at a time, one process each; results do not depend on it."""
    threads: int = 2
    """Threads that training computes with; the weights' last bits depend on it."""
    seed: int = 0
    """Decides initial weights, order of samples and augmentation."""
    world: MetaWorld.Config = field(default_factory=MetaWorld.Config)
    """Cameras and render quality, the same for collection and evaluation."""

    def training(self) -> Training:
        """The training run of the demo."""
        return Training(
            run=self.out / "policy",
            data=(Source(path=self.out / "collection" / "dataset", name="demonstrations"),),
            model=ActionModel.Config(
                horizon=16,
                language_noise=0.4,
                backbone=SmallVLA.Config(channels=(32, 64, 96, 128), depth=2, mlp_ratio=2),
                head=L1.Config(depth=1, mlp_ratio=2),
            ),
            action_key="action.expert",
            paraphrase=True,
            steps=self.steps,
            batch_size=32,
            optimizer=Optimizer(learning_rate=1e-3),
            threads=self.threads,
            seed=self.seed,
        )


def run(config: DemoConfig) -> Path:
    """Run the recipe, or what is left of it; returns the path of the report.

    Raises:
        CollectionFailed: an expert failed too often.
        ConfigurationError: ``config.out`` holds a demo of another configuration.
    """
    clock = _Clock(config.out / "timings.json")
    with clock.step("1/6 collect", "demonstrations by scripted experts, two cameras"):
        dataset = collect_demonstrations(config)
    with clock.step("2/6 train", f"one policy for {len(config.tasks)} tasks"):
        checkpoint = train(config.training()).checkpoint
    with clock.step("3/6 evaluate, 4/6 swap", "unseen seeds, unseen wordings"):
        evaluation = evaluate_policy(config, checkpoint, dataset)
    overall = summarise(evaluation.group()).overall
    clock.console.print(
        f"{overall.successes} of {overall.episodes} succeeded "
        f"(95 % interval {overall.interval.low:.0%} to {overall.interval.high:.0%})"
    )
    directory = config.out / "evaluation"
    with clock.step("5/6 replay", "every evaluation episode, bit for bit"):
        replayed = replay_evaluation(config)
    clock.console.print(f"{replayed.equal} of {len(replayed.episodes)} episodes are bit-equal")
    with clock.step("6/6 report", "pictures, intervals, provenance"):
        path = write_report(directory, config.out / "report.html")
    clock.console.print(f"[bold]{path}[/bold]")
    return path


def collect_demonstrations(config: DemoConfig) -> Dataset:
    """Demonstrations of all tasks as a dataset; those that are there already are not run again."""
    directory = config.out / "collection"
    directory.mkdir(parents=True, exist_ok=True)
    with (
        WorldPool(config.world, config.workers) as pool,
        Journal.open(directory / "journal.sqlite") as journal,
    ):
        total = config.demonstrations * len(config.tasks)
        with progress_bar("demonstrations", total) as listener:
            collected = collect(
                pool,
                ExpertPolicy.Config(noise=0.5, noise_hold=4, noise_episodes=0.7).build(pool.spec),
                config.tasks,
                config.demonstrations,
                journal,
                listener=listener,
            )
        kept = {result.id for result in collected.kept}
        return compact(journal, directory / "dataset", ids=kept)


def evaluate_policy(config: DemoConfig, checkpoint: Path, dataset: Dataset) -> Evaluation:
    """The headline episodes and the instruction swap; the averaged weights are evaluated."""
    directory = config.out / "evaluation"
    directory.mkdir(parents=True, exist_ok=True)
    model = ActionModel.load(checkpoint, "ema")
    policy = ChunkedPolicy(ChunkedPolicy.Config(execute=8), model, label="policy")
    with (
        WorldPool(config.world, config.workers) as pool,
        Journal.open(directory / "journal.sqlite") as journal,
    ):
        plan = evaluation_plan(pool.spec, config.tasks, config.episodes)
        if set(FAUCETS) <= set(config.tasks):
            events = ("faucet_opened", "faucet_closed")
            plan = join(plan, swap_plan(pool.spec, [FAUCETS], config.swaps, stop_on=events))
        with progress_bar("evaluation", len(plan)) as listener:
            evaluation = evaluate(
                pool,
                policy,
                plan,
                rules=Rules(max_steps=config.max_steps),
                training=training_record([dataset]),
                journal=journal,
                listener=listener,
                provenance={
                    **provenance(
                        config=config,
                        seeds={"training": config.seed},
                        worlds=[pool.spec],
                        parents={"dataset": dataset.content_hash()},
                    ).to_dict(),
                    "checkpoint": str(checkpoint),
                },
            )
    evaluation.save(directory / "evaluation.json")
    return evaluation


def replay_evaluation(config: DemoConfig) -> ReplayReport:
    """Replay every episode of the evaluation; those that were replayed before are not run again."""
    directory = config.out / "evaluation"
    journal = directory / "journal.sqlite"
    with Progress(console=Console(stderr=True)) as bar:
        shown = bar.add_task("replay", total=len(headers(journal)))
        return replay_all(
            journal,
            directory / "replay.json",
            config.workers,
            lambda _: bar.advance(shown),
        )


class _Clock:
    """Says what is being done and keeps the seconds of every step, over interruptions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.console = Console(stderr=True)
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        self.console.rule(f"[bold]{name}[/bold]: {what}", align="left")
        begin = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - begin
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 1)
            write_atomically(self.path, json.dumps(self.seconds, indent=1) + "\n")
        self.console.print(f"{name}: {spent:.0f} s")
