"""The copy of the model that a run goes on from, made when the run begins."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from penstock.bundle import GRAPH_ROLES, INDEX, Bundle, load_bundle, save_bundle
from penstock.config import RunConfig
from penstock.config.json_types import is_object
from penstock.data.formats.corpus_files import shown
from penstock.data.held_out_pairs import merge_references
from penstock.data.pair import Pair
from penstock.data.sealed_file import seal
from penstock.errors import BundleError, DataError, PenstockError, UsageError
from penstock.files import atomic_write
from penstock.tasks import TASKS
from penstock.training.examples import REST, open_reader, read_examples
from penstock.training.start_defaults import require_same_network
from penstock.training.start_model import FOLDER, VALID, Report


def keep_start(config: RunConfig, run: Path, *, resume: bool, report: Report) -> RunConfig:
    """Copy the model into the run, which then resumes whatever becomes of the original.

    Returns:
        The configuration, which names the copy.

    Raises:
        BundleError: no such model, or one without weights.
        ConfigError: other tokenizers or another network than the model's.
        UsageError: the run was begun from another model.
    """
    path = config.start.model
    if path is None:
        return config
    folder, start = run / FOLDER, load_bundle(path)
    require_same_network(config, start)
    if "weights" not in start.files:
        raise BundleError(
            f"{start.place}: an export has no weights to go on from; name the run that was exported"
        )
    if resume and (folder / INDEX).exists():
        if load_bundle(folder).files["weights"] != start.files["weights"]:
            raise UsageError(
                f"{run}: goes on from another model than {path}; to resume leave --from out, or "
                "choose another --out"
            )
    else:
        rows = (
            json.dumps({"source": p.source, "targets": p.targets}, ensure_ascii=False) + "\n"
            for p in _held_out(start, config, Path(config.data.cache or run / "data"), report)
        )
        atomic_write(folder / VALID, "".join(rows))
        seal(folder / VALID)
        files = {role: data for role, data in start.files.items() if role not in GRAPH_ROLES}
        save_bundle(replace(start, files=files), folder)
        report(f"going on from {path}: {_scores(start)}")
    section = config.start.model_copy(update={"model": str(folder)})
    return config.model_copy(update={"start": section})


def _held_out(start: Bundle, config: RunConfig, data: Path, report: Report) -> Iterable[Pair]:
    """Examples that the model's training did not see; none if they are no longer known.

    Raises:
        DataError: `start.valid` is unusable.
    """
    if config.start.valid is not None:
        return merge_references(open_reader(config, report)(config.start.valid))
    old, held_out = start.config, TASKS[config.task].learning().held_out
    try:
        if held_out is not None:
            return list(held_out(old))
        examples = read_examples(old, lambda _: None, data)
        if old.data.valid in (None, REST) and examples.fingerprint != start.record.get("data"):
            raise DataError("not the data that it was trained on", path=shown(old.data.train))
        return examples.valid
    except PenstockError as error:
        report(
            f"warning: no scores on the old data: what {start.place} held out is not known "
            f"({error}); name held-out data as start.valid"
        )
        return []


def _scores(start: Bundle) -> str:
    """The model's updates and held-out scores, as its record has them."""
    record = start.record
    held_out = record.get("held_out")
    scores = held_out if is_object(held_out) else {}
    shown = [f"{name} {value:.3g}" for name, value in scores.items() if isinstance(value, float)]
    return ", ".join([f"update {record.get('update', 0):,}", *shown])
