"""Mending a dataset: statistics computed again from what is stored."""

from __future__ import annotations

from pathlib import Path

from enactive.episodes import commit, layout
from enactive.episodes import statistics as stats
from enactive.episodes.dataset import Dataset


def recompute_statistics(path: Path | str) -> Dataset:
    """Compute ``meta/stats.json`` again from the stored frames and replace it.

    Pictures are taken as the decoder gives them, so their statistics may differ in the third digit
    from those that were computed before encoding.

    Returns:
        The dataset, checked.
    """
    dataset = Dataset(path, check=False)
    found: dict[str, stats.Summary] = {}
    for key, feature in dataset.features.items():
        if feature["dtype"] == "string":
            continue
        if feature["dtype"] in ("video", "image"):
            pictures = stats.ImageStatistics()
            for entry in dataset.episodes:
                rows = stats.sampled_rows(entry.length)
                pictures.update(stats.thinned(dataset.video(key, entry.index)[rows]))
            found[key] = pictures.summary()
            continue
        values = dataset.column(key)
        vectors = stats.VectorStatistics(max(int(values[0].size), 1))
        vectors.update(values)
        found[key] = vectors.summary()
    with commit.locked(dataset.path):
        layout.write_json(stats.to_json(found), dataset.path / layout.STATS)
    return Dataset(path)
