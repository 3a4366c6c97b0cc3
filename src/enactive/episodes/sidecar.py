"""The tables that ride beside a LeRobotDataset under ``enactive/``: episodes, chains, events."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from enactive.actions.chain import Chain
from enactive.actions.decision import Cost
from enactive.episodes import layout
from enactive.episodes.columns import Table
from enactive.episodes.episode import (
    Deliberation,
    Episode,
    EpisodeHeader,
    Event,
    Outcome,
    hash_rows,
)

_NAMED_BYTES = pa.list_(pa.struct([("name", pa.string()), ("data", pa.binary())]))
SCHEMAS = {
    "episodes": pa.schema(
        [
            ("episode_index", pa.int64()),
            ("id", pa.string()),
            ("task", pa.string()),
            ("instruction", pa.string()),
            ("seed", pa.int64()),
            ("policy", pa.string()),
            ("world", pa.string()),
            ("success", pa.bool_()),
            ("steps", pa.int64()),
            ("header", pa.string()),
            ("outcome", pa.string()),
            ("hashes", _NAMED_BYTES),
            ("histograms", _NAMED_BYTES),
        ]
    ),
    "chains": pa.schema(
        [
            ("episode_index", pa.int64()),
            ("step", pa.int64()),
            ("chain", pa.binary()),
            ("hash", pa.string()),
            ("backbone_passes", pa.int64()),
            ("head_passes", pa.int64()),
            ("decoder_passes", pa.int64()),
            ("tokens", pa.int64()),
            ("prompt_tokens", pa.int64()),
            ("money", pa.float64()),
            ("milliseconds", pa.float64()),
        ]
    ),
    "events": pa.schema(
        [("episode_index", pa.int64()), ("step", pa.int64()), ("name", pa.string())]
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeRecord:
    """What our tables say of an episode beyond its frames."""

    episode: int
    """Its index in the dataset."""
    header: EpisodeHeader
    outcome: Outcome
    hashes: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict[str, NDArray[np.uint8]])
    """See :attr:`enactive.episodes.episode.Episode.hashes`."""


Rows = dict[str, list[dict[str, Any]]]


def rows_of(index: int, episode: Episode, histograms: Mapping[str, NDArray[np.int64]]) -> Rows:
    """The rows of all tables for one episode."""
    header, outcome = episode.header, episode.outcome
    packed = [
        {"name": key, "data": zlib.compress(counts.tobytes(), 1)}
        for key, counts in histograms.items()
    ]
    hashes = [{"name": name, "data": rows.tobytes()} for name, rows in episode.hashes.items()]
    row = {
        "episode_index": index,
        "id": header.id,
        "task": header.task.name,
        "instruction": episode.instruction,
        "seed": header.seed,
        "policy": header.policy,
        "world": str(header.world.get("name", "")),
        "success": outcome.success,
        "steps": outcome.steps,
        "header": json.dumps(header.to_dict(), ensure_ascii=False),
        "outcome": json.dumps(outcome.to_dict(), ensure_ascii=False),
        "hashes": hashes,
        "histograms": packed,
    }
    chains = [
        {
            "episode_index": index,
            "step": made.step,
            "chain": made.chain.to_bytes(),
            "hash": made.chain.hash,
            **made.cost.to_dict(),
        }
        for made in episode.deliberations
    ]
    events = [
        {"episode_index": index, "step": event.step, "name": event.name} for event in episode.events
    ]
    return {"episodes": [row], "chains": chains, "events": events}


def read_table(root: Path, table: str, columns: list[str] | None = None) -> Table:
    """One of our tables, whole; empty where the dataset has none (it is somebody else's)."""
    paths = sorted((root / layout.OWN / table).glob("*/*.parquet"))
    if not paths:
        schema = SCHEMAS[table]
        names = columns or schema.names
        return pa.schema([schema.field(name) for name in names]).empty_table()
    tables = [pq.read_table(path, columns=columns) for path in paths]
    return pa.concat_tables(tables, promote_options="default")


def records(table: Table) -> Iterable[EpisodeRecord]:
    """The episodes of an ``episodes`` table."""
    for row in table.select(["episode_index", "header", "outcome", "hashes"]).to_pylist():
        yield EpisodeRecord(
            episode=row["episode_index"],
            header=EpisodeHeader.from_dict(json.loads(row["header"])),
            outcome=Outcome.from_dict(json.loads(row["outcome"])),
            hashes={entry["name"]: hash_rows(entry["data"]) for entry in row["hashes"]},
        )


def histograms(row: Iterable[Mapping[str, Any]]) -> dict[str, NDArray[np.int64]]:
    """Camera feature to pixel counts ``(3, 256)``, from a row's ``histograms``."""
    return {
        entry["name"]: np.frombuffer(zlib.decompress(entry["data"]), np.int64).reshape(3, 256)
        for entry in row
    }


def deliberations(table: Table, episode: int) -> tuple[Deliberation, ...]:
    """The decisions of one episode, from a ``chains`` table."""
    found: list[Deliberation] = []
    for row in _of_episode(table, episode):
        cost = Cost(
            backbone_passes=row["backbone_passes"],
            head_passes=row["head_passes"],
            decoder_passes=row.get("decoder_passes") or 0,  # files from before it existed
            tokens=row["tokens"],
            prompt_tokens=row.get("prompt_tokens") or 0,
            money=row.get("money") or 0.0,
            milliseconds=row["milliseconds"],
        )
        chain = Chain.from_bytes(row["chain"])
        found.append(Deliberation(step=row["step"], chain=chain, cost=cost))
    return tuple(found)


def events(table: Table, episode: int) -> tuple[Event, ...]:
    """The events of one episode, from an ``events`` table."""
    return tuple(Event(step=row["step"], name=row["name"]) for row in _of_episode(table, episode))


def _of_episode(table: Table, episode: int) -> list[dict[str, Any]]:
    mask = table["episode_index"].to_numpy() == episode
    return table.filter(pa.array(mask)).to_pylist()
