"""The report: what it says is what the evaluation found, and a browser shows it without network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from reach_world import SPACE, ReachWorld

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost, Decision
from enactive.episodes.journal import Journal
from enactive.evaluation.evaluate import evaluate
from enactive.evaluation.plan import Rules, evaluation_plan, join, swap_plan
from enactive.evaluation.replay import replay_all
from enactive.evaluation.report import media, svg
from enactive.evaluation.report.analysis import NOTHING, stages, swap
from enactive.evaluation.report.choice import failures, one_per_task
from enactive.evaluation.report.write import write_report
from enactive.evaluation.results import EpisodeResult, Evaluation
from enactive.policies.random_policy import RandomPolicy
from enactive.worlds.pool import WorldPool

CONFIG = ReachWorld.Config(size=32)
SPEC = CONFIG.build().spec
TASKS = ["left", "right"]
EVENTS = ("went_left", "went_right")


class Listener(RandomPolicy):
    """Goes where the words say, in chunks of four, and forgets to on one seed in three."""

    def act(self, observations, memories):
        decisions = []
        for seen, memory in zip(observations, memories, strict=True):
            side = -1.0 if "left" in seen.instruction else 1.0
            chunk = np.zeros((4, 4), np.float32)
            chunk[:, 0] = 0.0 if memory.seed % 3 == 0 else side * 0.08
            planned = memory.step % 4 == 0
            chain = Chain.raw(chunk, source="listener") if planned else None
            cost = Cost(backbone_passes=1, milliseconds=2.0) if planned else Cost()
            following = super().act([seen], [memory])[0].memory
            decisions.append(Decision(action=chunk[0], chain=chain, cost=cost, memory=following))
        return decisions


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An evaluation with swap, replay, a training log and timings, as the commands leave them."""
    root = tmp_path_factory.mktemp("run with spaces")
    path = root / "evaluation"
    path.mkdir()
    plan = join(
        evaluation_plan(SPEC, TASKS, 6), swap_plan(SPEC, [("left", "right")], 3, stop_on=EVENTS)
    )
    with WorldPool(CONFIG, 0) as pool, Journal.open(path / "journal.sqlite") as journal:
        found = evaluate(
            pool,
            Listener(SPACE),
            plan,
            rules=Rules(max_steps=20),
            journal=journal,
            provenance={"note": "<b>not markup</b>"},
        )
    found.save(path / "evaluation.json")
    replay_all(path / "journal.sqlite", path / "replay.json")
    (root / "policy").mkdir()
    lines = [{"step": s, "loss": 1.0 / s, "learning_rate": 1e-3} for s in range(1, 50)]
    lines.append({"step": 49, "validation_loss": 0.1})
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 50, "lo'
    (root / "policy" / "log.jsonl").write_text(text)
    (root / "timings.json").write_text('{"train": 12.3}')
    write_report(path)
    yield path


@pytest.fixture(scope="module")
def found(directory: Path) -> Evaluation:
    return Evaluation.load(directory / "evaluation.json")


def visible_text(page: str) -> str:
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = 0
            self.words: list[str] = []

        def handle_starttag(self, tag, attrs):
            self.hidden += tag in ("style", "script")

        def handle_endtag(self, tag):
            self.hidden -= tag in ("style", "script")

        def handle_data(self, data):
            if not self.hidden:
                self.words.append(data)

    reader = Reader()
    reader.feed(page)
    return " ".join(" ".join(reader.words).split())


def test_the_page_says_what_the_evaluation_found(directory: Path, found: Evaluation) -> None:
    text = visible_text((directory / "report.html").read_text())
    main = found.group()
    successes = sum(e.success for e in main)
    assert 0 < successes < len(main)
    assert f"{100 * successes / len(main):.1f} %" in text
    assert f"{successes} / {len(main)}" in text
    for episode in found.episodes:
        assert episode.id in text
        assert f"“{episode.instruction}”" in text or episode.instruction in text
    assert "<b>not markup</b>" in text  # escaped, so it is text
    assert "24 of 24 episodes were executed again" in text
    assert f"{len(main) - successes} of {len(main)} episodes failed" in text
    assert found.protocol.hash in text
    assert f"enactive replay '{directory}' --episodes {main[0].id}" in text
    assert "49 optimizer steps" in text and "12 s" in text and "2.00" in text


def test_the_numbers_beside_it(directory: Path, found: Evaluation) -> None:
    numbers = json.loads((directory / "report.json").read_text())
    main = found.group()
    assert numbers["overall"]["successes"] == sum(e.success for e in main)
    assert numbers["replay"] == {
        "equal": 24,
        "episodes": 24,
        "values_compared": numbers["replay"]["values_compared"],
    }
    assert [f["id"] for f in numbers["failures"]] == [e.id for e in main if not e.success]
    text = (directory / "report.md").read_text()
    for name, rate in numbers["tasks"].items():
        assert f"| {name} | {rate['successes']} / {rate['episodes']} |" in text
    assert "Replay: 24 of 24" in text


def test_nothing_comes_from_outside(directory: Path) -> None:
    page = (directory / "report.html").read_text()
    addresses = re.findall(r"""(?:src|href|poster|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "http://" not in page and "https://" not in page


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_it(directory: Path, tmp_path: Path) -> None:
    """Real headless Chromium: every picture and clip decodes, no error, nothing overflows."""
    probe = """<script>
    addEventListener('error', event => document.title = 'error ' + event.message, true);
    addEventListener('load', async () => {
      const clips = [...document.querySelectorAll('video')];
      await Promise.all(clips.map(clip => clip.readyState >= 2 ? 0 : new Promise(done => {
        clip.addEventListener('loadeddata', done); clip.preload = 'auto'; clip.load(); })));
      const pictures = [...document.querySelectorAll('img')];
      const shown = clips.filter(clip => clip.videoWidth > 0 && clip.duration > 0).length;
      const seen = pictures.filter(picture => picture.naturalWidth > 0).length;
      const wide = document.documentElement.scrollWidth <= innerWidth;
      document.title = `clips ${shown}/${clips.length} pictures ${seen}/${pictures.length} `
        + `fits ${wide} charts ${document.querySelectorAll('svg').length}`;
    });</script>"""
    page = (directory / "report.html").read_text()
    copy = tmp_path / "probe.html"
    copy.write_text(page.replace("</head>", probe + "</head>", 1))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio",
        f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--window-size=420,900", "--virtual-time-budget=20000", "--dump-dom", copy.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    numbers = re.fullmatch(
        r"clips (\d+)/\1 pictures (\d+)/\2 fits true charts (\d+)", title.group(1)
    )
    assert numbers is not None, title.group(1)
    assert int(numbers.group(1)) >= 2 + 4 + 1  # tasks, swap cells, at least one failure
    assert int(numbers.group(2)) == 2
    assert int(numbers.group(3)) >= 2 + 4 + 2


def test_a_report_without_pictures_replay_or_training(directory: Path, tmp_path: Path) -> None:
    shutil.copy(directory / "evaluation.json", tmp_path / "evaluation.json")
    path = write_report(tmp_path, tmp_path / "out" / "page.html")
    text = visible_text(path.read_text())
    assert "no pictures are recorded" in text and "have not been replayed" in text
    assert "optimizer steps" not in text
    with pytest.raises(FileNotFoundError, match="enactive evaluate"):
        write_report(tmp_path / "nothing")


def test_replay_goes_on_where_it_stopped(directory: Path, tmp_path: Path) -> None:
    saved = tmp_path / "replay.json"
    whole = json.loads((directory / "replay.json").read_text())
    saved.write_text(json.dumps({"episodes": whole["episodes"][:20]}))
    executed = []
    report = replay_all(directory / "journal.sqlite", saved, listener=executed.append)
    assert [episode.id for episode in executed] == [e["id"] for e in whole["episodes"][20:]]
    assert report.passed and len(report.episodes) == 24
    assert json.loads(saved.read_text()) == whole


# ---------------------------------------------------------------------------------- pieces


def test_swap_reads_what_happened(found: Evaluation) -> None:
    result = swap(found.group("swap"))
    assert result is not None
    assert result.meant == {"left": "went_left", "right": "went_right"}
    assert result.outcomes == (*EVENTS, NOTHING)
    assert [(cell.scene, cell.told) for cell in result.cells] == [
        ("left", "left"), ("left", "right"), ("right", "left"), ("right", "right"),
    ]  # fmt: skip
    for cell in result.cells:
        assert cell.episodes == 3
        assert set(cell.happened) <= {f"went_{cell.told}", NOTHING}
    crossed = [e for e in found.group("swap") if e.task != e.instructed]
    did = sum(f"went_{e.instructed}" in e.events for e in crossed)
    assert result.listened is not None
    assert (result.listened.successes, result.listened.episodes) == (did, 6)
    assert swap(found.group("nothing")) is None


def test_a_swap_that_ends_at_the_event_learns_the_meaning_elsewhere(found: Evaluation) -> None:
    """The event may come before the scene's success test holds."""
    unsuccessful = [replace(episode, success=False) for episode in found.group("swap")]
    alone = swap(unsuccessful)
    assert alone is not None and alone.meant == {} and alone.listened is None
    helped = swap(unsuccessful, found.group())
    assert helped == swap(found.group("swap"))


def result_with(index: int, task: str, *, success: bool, events: dict[str, int]) -> EpisodeResult:
    return EpisodeResult(
        id=str(index), index=index, task=task, instruction="go", seed=index, success=success,
        steps=9, events=events,
    )  # fmt: skip


def test_stages_are_in_the_order_in_which_they_happen() -> None:
    episodes = [
        result_with(0, "a", success=True, events={"near": 2, "done": 8}),
        result_with(1, "a", success=False, events={"near": 4}),
        result_with(2, "a", success=False, events={}),
    ]
    shown = [
        (stage.event, stage.reached, stage.of, stage.median_step) for stage in stages(episodes)
    ]
    assert shown == [("near", 2, 3, 3), ("done", 1, 3, 8)]


def test_shown_episodes_are_chosen_by_rule() -> None:
    episodes = [result_with(n, "ab"[n % 2], success=n in (1, 4), events={}) for n in range(10)]
    assert [e.index for e in one_per_task(episodes)] == [0, 1]
    assert [e.index for e in failures(episodes, 4)] == [0, 2, 3, 5]
    assert len(failures(episodes)) == 8


def test_clips_show_the_frames() -> None:
    frames = np.zeros((30, 33, 40, 3), np.uint8)
    frames[:, :, :, 0] = np.arange(30)[:, None, None] * 8
    kept, stride = media.thinned(frames, 12)
    assert stride == 3 and len(kept) == 11
    np.testing.assert_array_equal(kept[-1], frames[-1])
    import io

    with av.open(io.BytesIO(media.clip(kept))) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 11 and shown[0].shape == (32, 40, 3)
    assert abs(int(shown[-1][..., 0].mean()) - 29 * 8) < 12


def test_cameras_beside_one_another() -> None:
    images = {
        "a": np.full((2, 4, 6, 3), 200, np.uint8),
        "b": np.full((2, 2, 3, 3), 100, np.uint8),
    }
    both = media.side_by_side(images)
    assert both.shape == (2, 4, 9, 3)
    assert (both[:, :2, 6:] == 100).all() and (both[:, 2:, 6:] == 24).all()


def test_charts_survive_flat_and_empty_data() -> None:
    assert svg.lines([svg.Series(name="a", x=[], y=[])], title="t") == ""
    flat = svg.lines([svg.Series(name="a", x=[1, 2], y=[0.5, 0.5])], title="t", logarithmic=True)
    assert flat.count("<polyline") == 1 and "nan" not in flat
    one = svg.lines([svg.Series(name="a", x=[3], y=[2.0])], title="t")
    assert "inf" not in one and "nan" not in one
