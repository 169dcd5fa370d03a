"""`penstock classify`, `fill` and `embed`: one result per line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from penstock.cli.line_output import (
    Device,
    Engine,
    Input,
    MinConfidence,
    Model,
    Output,
    Threads,
    transform_lines,
)
from penstock.text.lines import as_cell, as_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from penstock.tasks.classification.text_classifier import Label
    from penstock.tasks.cloze.blank_filler import Filled
    from penstock.tasks.embedder import Embedding

Format = Literal["text", "json", "tsv"]
Layout = Annotated[
    Format, typer.Option("--format", help="Plain text, JSON (one object per line) or TSV.")
]


def classify(
    model: Model,
    source: Input = "-",
    output: Output = "-",
    layout: Layout = "text",
    min_confidence: MinConfidence = None,
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
) -> None:
    """Label each line. TSV adds probability and confidence, JSON every label's probability."""
    from penstock.tasks.classification.text_classifier import TextClassifier

    classifier = TextClassifier.load(model, device=device, engine=engine, threads=threads)

    def shown(result: Label) -> str:
        if layout == "json":
            return _json(
                source=result.source,
                label=result.label,
                probability=result.probability,
                probabilities=result.probabilities,
                confidence=result.confidence,
                status=result.status,
            )
        if layout == "tsv":
            cells = [result.label, f"{result.probability:.4f}", result.source]
            return as_row([*cells, as_cell(result.confidence)])
        return result.label

    def labelled(lines: Sequence[str]) -> Iterable[Label]:
        return classifier.classify(lines, min_confidence=min_confidence)

    transform_lines(source, output, labelled, shown)


def fill(
    model: Model,
    source: Input = "-",
    output: Output = "-",
    blank: Annotated[str, typer.Option(help="Mark of a missing word.")] = "___",
    n_best: Annotated[
        int,
        typer.Option(
            min=1, max=10_000, help="Candidates per blank, shown with --format json or tsv."
        ),
    ] = 5,
    layout: Layout = "text",
    min_confidence: MinConfidence = None,
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
) -> None:
    """Fill in each blank (___) from the words on both sides of it."""
    from penstock.tasks.cloze.blank_filler import BlankFiller

    filler = BlankFiller.load(model, device=device, engine=engine, threads=threads)

    def filled(lines: Sequence[str]) -> Iterable[Filled]:
        return filler.fill(lines, blank=blank, n_best=n_best, min_confidence=min_confidence)

    def shown(result: Filled) -> str:
        candidates = [
            [{"token": c.token, "probability": c.probability} for c in blank]
            for blank in result.blanks
        ]
        if layout == "json":
            return _json(
                source=result.source,
                text=result.text,
                blanks=candidates,
                confidences=result.confidences,
                status=result.status,
            )
        if layout == "tsv":
            cells = [
                " ".join(f"{c.token}:{c.probability:.3f}" for c in blank) for blank in result.blanks
            ]
            return as_row([result.text, *cells, *map(as_cell, result.confidences)])
        return result.text

    transform_lines(source, output, filled, shown)


def embed(
    model: Model,
    source: Input = "-",
    output: Output = "-",
    mean: Annotated[
        bool, typer.Option("--mean", help="Print one mean vector per line, not one per token.")
    ] = False,
    digits: Annotated[int, typer.Option(min=1, max=9, help="Significant digits.")] = 5,
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
) -> None:
    """Print contextual vectors from a model of any task, as one JSON object per line."""
    from penstock.tasks.embedder import Embedder

    embedder = Embedder.load(model, device=device, engine=engine, threads=threads)

    def rounded(vector: NDArray[np.float32]) -> list[float]:
        return [float(f"{value:.{digits}g}") for value in vector.tolist()]

    def shown(result: Embedding) -> str:
        if mean:
            vector = rounded(result.mean)
            return _json(source=result.source, vector=vector, status=result.status)
        return _json(
            source=result.source,
            tokens=result.tokens,
            vectors=[rounded(row) for row in result.vectors],
            status=result.status,
        )

    transform_lines(source, output, embedder.embed, shown, shown_by="status")


def _json(**values: object) -> str:
    return json.dumps(values, ensure_ascii=False)
