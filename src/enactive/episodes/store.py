"""Writing a LeRobotDataset v3: many episodes, one commit, whole at every moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from enactive.episodes import commit, layout, sidecar, video
from enactive.episodes.dataset import Dataset
from enactive.episodes.episode import Episode
from enactive.episodes.features import Features
from enactive.episodes.staging import Commit, Format, State


class DatasetWriter:
    """Adds episodes to a dataset on disk.

    One call of :meth:`append` is one commit: whenever the process dies, the dataset is what it was
    before the call or what it is after it. Episodes are known by their id; one that is already
    there is passed over, so a call may be repeated.

    Args:
        path: the dataset's directory; made by the first commit.
        features: see :func:`enactive.episodes.features.world_features`.
        fps: frames per second, the world's control rate.
        robot: name of the body or world, ``robot_type`` in ``info.json``.
        codec: how cameras with dtype ``"video"`` are encoded.
        data_mb: size at which a new parquet file begins.
        video_mb: size at which a new mp4 file begins.
    """

    def __init__(
        self,
        path: Path | str,
        features: Features,
        fps: float,
        *,
        robot: str | None = None,
        codec: video.VideoCodec | None = None,
        data_mb: int = layout.DATA_MB,
        video_mb: int = layout.VIDEO_MB,
    ) -> None:
        self.path = Path(path)
        self.format = Format(
            features=features,
            fps=int(fps) if float(fps).is_integer() else float(fps),
            robot=robot,
            codec=codec or video.VideoCodec(),
            data_mb=data_mb,
            video_mb=video_mb,
        )
        self.format.types  # noqa: B018 - a feature that cannot be stored is refused here

    @classmethod
    def create(
        cls, path: Path | str, features: Features, fps: float, **options: Any
    ) -> DatasetWriter:
        """A writer for a dataset that does not exist yet.

        Raises:
            FileExistsError: there is one already; use :meth:`open` to add to it.
        """
        if (Path(path) / layout.INFO).exists():
            raise FileExistsError(f"{path} is a dataset already; DatasetWriter.open adds to it")
        return cls(path, features, fps, **options)

    @classmethod
    def open(cls, path: Path | str, *, codec: video.VideoCodec | None = None) -> DatasetWriter:
        """A writer that adds to the dataset at ``path``, ours or another's."""
        dataset = Dataset(path)
        return cls(
            path,
            {key: _plain(feature) for key, feature in dataset.features.items()},
            dataset.fps,
            robot=dataset.info.get("robot_type"),
            codec=codec,
            data_mb=int(dataset.info.get("data_files_size_in_mb", layout.DATA_MB)),
            video_mb=int(dataset.info.get("video_files_size_in_mb", layout.VIDEO_MB)),
        )

    def append(self, episodes: Iterable[Episode]) -> Dataset:
        """Add episodes in one commit and return the dataset as it is then.

        Episodes are taken one at a time, so an iterator keeps one in memory.

        Raises:
            ValueError: an episode does not fit the features; the dataset stays as it was.
        """
        with commit.locked(self.path):
            commit.finish(self.path)
            commit.discard_staging(self.path)
            state = self._state()
            with Commit(self.path, self.format, state) as change:
                for episode in episodes:
                    if episode.header.id not in state.ids:
                        change.add(episode)
                        state.ids.add(episode.header.id)
                if change.staged:
                    commit.publish(self.path, change.files())
        if not (self.path / layout.INFO).exists():
            raise ValueError(f"{self.path}: there is no episode, and a dataset cannot be empty")
        return Dataset(self.path)

    def _state(self) -> State:
        if not (self.path / layout.INFO).exists():
            return State(dataset=None, tasks=[], ids=set())
        dataset = Dataset(self.path)
        mine, theirs = self.format.features, dataset.features
        changed = [
            key
            for key in {**mine, **theirs}
            if _plain(mine.get(key, {})) != _plain(theirs.get(key, {}))
        ]
        if changed or dataset.fps != self.format.fps:
            what = ", ".join(sorted(changed)) or f"fps {self.format.fps:g} is not {dataset.fps:g}"
            raise ValueError(f"{self.path} was written with other features: {what}")
        own = sidecar.read_table(self.path, "episodes", ["id"])
        return State(dataset=dataset, tasks=list(dataset.tasks), ids=set(own["id"].to_pylist()))


def _plain(feature: Mapping[str, Any]) -> dict[str, Any]:
    """A feature without what an encoder added to it, for comparison."""
    rest = {key: value for key, value in feature.items() if key not in ("info", "fps")}
    return rest | {"shape": list(rest["shape"])} if "shape" in rest else rest
