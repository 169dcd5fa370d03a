"""The reliability diagram: confidence against accuracy. Requires the `plot` extra."""

from __future__ import annotations

from pathlib import Path

from penstock.figure import empty_figure, save_figure
from penstock.metrics.confidence import BINS, Reliability


def draw_reliability(reliability: Reliability, path: Path) -> None:
    """Draw accuracy over confidence, bin by bin, and below it how many outputs each bin has.

    As in Guo et al. 2017 (https://arxiv.org/abs/1706.04599): on the diagonal, confidence is right;
    below it, too high.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: the figure's suffix names no format that we draw.
    """
    figure = empty_figure(4.2, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    confidences = [each.confidence for each in reliability.bins]
    upper.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="perfect")
    accuracies = [each.accuracy for each in reliability.bins]
    upper.plot(confidences, accuracies, marker="o", label=f"error {reliability.error:.1f} %")
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
    upper.grid(visible=True, alpha=0.3)
    upper.legend(loc="upper left")
    middles = [(min(int(BINS * c), BINS - 1) + 0.5) / BINS for c in confidences]
    lower.bar(middles, [each.count for each in reliability.bins], width=0.9 / BINS, color="C0")
    lower.set(xlabel="confidence", ylabel="outputs")
    save_figure(figure, path)
