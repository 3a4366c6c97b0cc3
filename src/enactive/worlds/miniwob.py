"""MiniWoB++ (package ``miniwob``): small tasks on small web pages, in a real browser.

Shi et al., "World of Bits" (ICML 2017); Liu et al., "Reinforcement Learning on Web Interfaces Using
Workflow-Guided Exploration" (ICLR 2018). The package's pages are opened in the browser of
:mod:`enactive.worlds.screen`, not through its own Selenium environment: there page time runs with
the machine's clock, so that what an action finds depends on how long deciding took, and no episode
happens twice in the same way. Here the seed decides the page, and time passes only in steps.

The pages' sentences are the instructions. The reward is the page's own, before its discount for
time; success is a reward above 0 at the end of the episode, as in the literature. Pages do not time
out; episodes are truncated after ``max_steps``.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enactive.observations import Camera, ObservationSpec, StateVector, TaskSpec
from enactive.registry import refuse_unknown
from enactive.seeding import child_seed
from enactive.worlds.miniwob_experts import SPACE, advice, has_expert
from enactive.worlds.miniwob_page import ADVICE_NAMES, SCAN, encode
from enactive.worlds.replayed import Outcome, ReplayedWorld, View
from enactive.worlds.screen.accessibility import AccessibilityTree, Node, as_text
from enactive.worlds.screen.browser import Browser
from enactive.worlds.screen.marks import draw, marks_of
from enactive.worlds.world import EventSpec, WorldSpec

WIDTH, HEIGHT = SPACE.width, SPACE.height
"""Of a task, px."""

WINDOW = (500, 320)
"""Of the window around it, px: the pages are written for more room than the task's."""

HIDDEN = frozenset({"query", "reward-display", "sync-task-cover", "click-canvas"})
"""Elements of every page that are not of its task; ``query`` is the instruction."""

CAMERAS = ("screen", "marks")

EVENTS = (
    EventSpec(name="success", description="the page ended the episode with a reward above 0"),
    EventSpec(name="failure", description="the page ended the episode with another reward"),
    EventSpec(name="no_effect", description="an action changed nothing that is shown"),
    EventSpec(name="left", description="the browser is on another page than the task's"),
)

ADVICE = StateVector(
    name="miniwob",
    names=ADVICE_NAMES,
    unit="mixed: number of a verb, -1 where the expert knows nothing to do; px; code points",
)
"""What the task's scripted expert would do now."""


class MiniWoB(ReplayedWorld):
    """The tasks of MiniWoB++ as one world; made with ``MiniWoB.Config(...).build()``."""

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """Configuration of :class:`MiniWoB`."""

        cameras: tuple[str, ...] = ("screen",)
        """Pictures of 160 by 210 px: ``"screen"``, and ``"marks"``, the same with numbered boxes
        over what can be used. Empty takes none."""
        text: bool = True
        """Give the page's accessibility tree as the observation's text."""
        max_steps: int = 30
        """Actions after which an episode is truncated."""
        seconds: float = 0.5
        """Page time that passes after each action."""
        data_mode: str = "train"
        """Which of their words pages with a split draw: ``"train"`` or ``"test"``."""
        privileged: bool = True
        """Give ``Observation.privileged["miniwob"]``, the scripted expert's advice."""
        executable: str = "/usr/bin/chromium"
        """Where Chromium is."""
        timeout: float = 20.0
        """Seconds that anything in the browser may take."""

        def build(self) -> MiniWoB:
            """The world; starts the browser.

            Raises:
                BrowserError: playwright or Chromium is missing.
                ValueError: an unknown camera or data mode, or a number out of range.
            """
            return MiniWoB(self)

    def __init__(self, config: Config) -> None:
        refuse_unknown("cameras", config.cameras, CAMERAS)
        refuse_unknown("data_mode", (config.data_mode,), ("train", "test"))
        if config.max_steps < 1 or not 0 < config.seconds <= 60:
            raise ValueError(
                "max_steps must be at least 1 and seconds lie in (0, 60], got "
                f"{config.max_steps} and {config.seconds}"
            )
        self._config = config
        self._pages = pages()
        self._browser = self._start()
        self._tree = AccessibilityTree(self._browser)
        self._task = self._utterance = ""
        self._over = False
        self._seen: _Seen | None = None
        super().__init__(_spec(config, self._browser.version))

    @property
    def browser(self) -> Browser:
        """The browser, for tools that act on the page."""
        return self._browser

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The elements of the page when it was last looked at."""
        return () if self._seen is None else self._seen.nodes

    def close(self) -> None:
        self._browser.close()

    def _start(self) -> Browser:
        return Browser.Config(
            width=WINDOW[0],
            height=WINDOW[1],
            executable=self._config.executable,
            timeout=self._config.timeout,
        ).build()

    def _begin(self, task: TaskSpec, seed: int) -> tuple[str, ...]:
        if not self._browser.alive:  # an earlier page ended it
            self._browser = self._start()
        native = child_seed(seed, "miniwob", task.name) % 2**31
        self._browser.open((self._pages / f"{task.name}.html").as_uri(), native)
        self._browser.evaluate(BEGIN, [str(native), self._config.data_mode])
        self._browser.advance(self._config.seconds)
        self._tree = AccessibilityTree(self._browser, HIDDEN)
        self._task = task.name
        self._utterance = str(self._browser.evaluate(UTTERANCE))
        self._over = False
        self._seen = self._look()
        return ()

    def _advance(self, action: Any) -> Outcome:
        before = self._seen
        self._browser.execute(action, self._config.seconds)
        self._seen = seen = self._look()
        done, reward, here = self._browser.evaluate(OUTCOME)
        self._over = bool(done) or not here
        success = bool(done) and reward > 0
        holds = {
            "success": success,
            "failure": bool(done) and not success,
            "no_effect": here and not done and before is not None and seen.same(before),
            "left": not here,
        }
        return Outcome(
            reward=float(reward) if done else 0.0,
            success=success,
            terminated=self._over,
            holding=tuple(name for name, holding in holds.items() if holding),
        )

    def _look(self) -> _Seen:
        picture = self._browser.screenshot(WIDTH, HEIGHT) if self._config.cameras else None
        return _Seen(nodes=self._tree.read(), picture=picture)

    def _view(self) -> View:
        seen = self._seen
        assert seen is not None
        images: dict[str, NDArray[np.uint8]] = {}
        for name in self._config.cameras:
            assert seen.picture is not None
            images[name] = seen.picture
            if name == "marks":
                images[name] = draw(seen.picture, marks_of(seen.nodes, WIDTH, HEIGHT))
        privileged: dict[str, NDArray[np.float64]] = {}
        if self._config.privileged:
            privileged[ADVICE.name] = self._advise()
        return View(
            images=images,
            state={},
            privileged=privileged,
            instruction=self._utterance,
            text=as_text(seen.nodes) if self._config.text else None,
        )

    def _advise(self) -> NDArray[np.float64]:
        elements: Sequence[Any] = ()
        if has_expert(self._task) and not self._over:
            elements = self._browser.evaluate(SCAN)
        return encode(advice(self._task, self._utterance, elements))


@dataclass(frozen=True, slots=True)
class _Seen:
    nodes: tuple[Node, ...]
    picture: NDArray[np.uint8] | None

    def same(self, other: _Seen) -> bool:
        if self.nodes != other.nodes:
            return False
        return (
            self.picture is None
            or other.picture is None
            or np.array_equal(self.picture, other.picture)
        )


BEGIN = """([seed, mode]) => {
  core.EPISODE_MAX_TIME = 24 * 3600 * 1000;  // the world counts actions instead
  core.setDataMode(mode);
  Math.seedrandom(seed);
  core.startEpisodeReal();
  core.startEpisode = () => {};  // what was on the page at the end stays there to be seen
}"""

UTTERANCE = """() => {
  const said = core.getUtterance();
  return typeof said === 'string' ? said : said.utterance;
}"""

OUTCOME = """() => typeof WOB_DONE_GLOBAL === 'undefined' ? [false, 0, false]
  : [WOB_DONE_GLOBAL, Number(WOB_RAW_REWARD_GLOBAL) || 0, true]"""
"""Whether the episode is over, its reward, and whether this is still the task's page."""


def pages() -> Path:
    """The folder of the package's pages."""
    # Not imported: the package's own module asks for Selenium.
    files = importlib.metadata.files("miniwob") or ()
    for file in files:
        if file.name == "click-test.html":
            return Path(str(file.locate())).parent
    raise FileNotFoundError("the package miniwob has no pages; pip install 'enactive[screen]'")


def task_names() -> tuple[str, ...]:
    """The pages of the package."""
    return tuple(sorted(page.stem for page in pages().glob("*.html")))


def _spec(config: MiniWoB.Config, browser: str) -> WorldSpec:
    return WorldSpec(
        name="miniwob",
        version=importlib.metadata.version("miniwob"),
        observations=ObservationSpec(
            cameras=tuple(Camera(name=name, height=HEIGHT, width=WIDTH) for name in config.cameras),
            privileged=(ADVICE,) if config.privileged else (),
        ),
        accepts=SPACE,
        tasks=tuple(
            TaskSpec(
                name=name,
                instructions=(),
                max_steps=config.max_steps,
                description=f"miniwob/{name}; the seed decides the sentence",
            )
            for name in task_names()
        ),
        rate_hz=1 / config.seconds,
        events=EVENTS,
        snapshots=True,
        provenance={
            "packages": {
                name: importlib.metadata.version(name) for name in ("miniwob", "playwright")
            },
            "chromium": browser,
            "data_mode": config.data_mode,
        },
    )
