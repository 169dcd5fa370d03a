"""What a run gets when its training has ended: graphs, and what its outputs are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from penstock.bundle import INDEX, Bundle, load_bundle, save_bundle
from penstock.config import RunConfig
from penstock.data.pair import Pair
from penstock.errors import BundleError, DataError
from penstock.metrics.confidence import FEWEST, Confidence
from penstock.tasks import TASKS
from penstock.tasks.model_export import export_run
from penstock.text.familiarity import MOST_LINES, Familiarity

_ENOUGH = 300  # held-out lines that no model was selected by
_MOST = 1000  # on which confidence is fitted


def complete_run(config: RunConfig, run: Path) -> list[str]:
    """Export a finished run's model as `training.export` asks, and fit it to its held-out data.

    Returns:
        What to report.
    """
    if not (run / "model" / INDEX).is_file():
        return []
    reports = [export_run(config, run)]
    bundle = load_bundle(run)
    if TASKS[bundle.config.task].features:
        try:
            bundle = _fitted(bundle, reports.append)
        except (BundleError, DataError) as error:  # the data, or a first model, have gone since
            reports.append(f"unfamiliar lines and confidence will not be reported: {error}")
        else:
            save_bundle(bundle, run / "model")
    return [text for text in reports if text]


def _fitted(bundle: Bundle, report: Callable[[str], None]) -> Bundle:
    """The bundle with what tells unfamiliar lines, and with the confidence of its outputs."""
    from penstock.training.examples import open_data

    training, held_out = open_data(bundle.config, lambda _: None)
    familiarity = _familiarity(bundle, training(), held_out)
    if familiarity is None:
        report("too little text to tell which lines are unlike it")
    chosen = held_out[bundle.config.training.evaluate_sentences :]
    chosen = (chosen if len(chosen) >= _ENOUGH else held_out)[:_MOST]
    confidence = _confidence(bundle, chosen)
    if confidence is None:
        report(
            f"no confidence: {len(chosen)} held-out lines are too few to fit it; hold out {FEWEST} "
            "or more"
        )
    return replace(bundle, familiarity=familiarity, confidence=confidence)


def _familiarity(
    bundle: Bundle, training: Iterable[Pair], held_out: Sequence[Pair]
) -> Familiarity | None:
    read = bundle.source_tokenizer.normalized
    fitted = Familiarity.fit(
        [read(pair.source) for pair in islice(training, MOST_LINES)],
        [read(pair.source) for pair in held_out],
    )
    started_from = bundle.config.start.model
    if fitted is None or started_from is None:
        return fitted
    return replace(fitted, before=load_bundle(started_from).familiarity)


def _confidence(bundle: Bundle, pairs: Sequence[Pair]) -> Confidence | None:
    """Fitted to what the engine makes of held-out pairs that the model has by default."""
    use = TASKS[bundle.config.task].use()
    if use.outcomes is None or len(pairs) < FEWEST:
        return None
    model = use.model(bundle, device=bundle.config.device, threads=bundle.config.threads)
    return Confidence.fit(use.outcomes(model, pairs))
