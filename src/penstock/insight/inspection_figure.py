"""Figures of an inspection: attention, alignment, beam tree, gates. Requires the `plot` extra."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penstock.errors import MissingExtraError, UsageError
from penstock.figure import check_figure_name, empty_figure, save_figure
from penstock.insight.inspection import Attention, Inspection, Layer
from penstock.insight.tree_layout import place_nodes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

View = Literal["attention", "alignment", "tree", "gates"]

_LONGEST = 16  # characters shown of a token
_INK, _GREY, _PALE, _BLUE, _ORANGE = "#333333", "#767676", "#bbbbbb", "#0072B2", "#D55E00"
_PIXELS_PER_INCH = 150  # as in `save_figure`
_MOST_PIXELS_A_SIDE, _MOST_PIXELS = 1 << 16, 100_000_000  # 400 MB while it is drawn
# fallbacks, if installed, for characters that the default font lacks
_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans", "Microsoft YaHei",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari",
)  # fmt: skip


def draw_inspection(inspection: Inspection, path: Path, view: View) -> None:
    """Draw one view of an inspection.

    Args:
        inspection: what is drawn.
        path: of the figure, which ends in .svg, .png or .pdf.
        view: `attention`, a heat map, each head's too; `alignment`, lines between the sentences;
            `tree`, the beam search; `gates`, the mean of each gate and state, token by token.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: the figure's suffix names no format that we draw, the model has no attention
            to draw, or there is too much for a picture of pixels.
    """
    check_figure_name(path)
    if view in ("attention", "alignment") and inspection.attention is None:
        raise UsageError(
            f"view {view!r}: this model has no attention; choose the view 'tree' or 'gates'"
        )
    with _any_text():
        if view == "tree":
            figure = _tree(inspection)
        elif view == "gates":
            figure = _gates(inspection.gates)
        else:
            assert inspection.attention is not None
            draw = _attention if view == "attention" else _alignment
            figure = draw(inspection, inspection.attention)
        _require_fit(figure, path)
        save_figure(figure, path)


def _require_fit(figure: Figure, path: Path) -> None:
    """Raise `UsageError` if a PNG would be too large; the other formats have no limit."""
    wide, high = (int(_PIXELS_PER_INCH * inches) for inches in figure.get_size_inches())
    fits = max(wide, high) < _MOST_PIXELS_A_SIDE and wide * high <= _MOST_PIXELS
    if path.suffix.lower() == ".png" and not fits:
        raise UsageError(
            f"{path}: {wide:,} by {high:,} pixels are too many for one picture; write .svg or "
            ".pdf, or inspect a shorter sentence or a smaller beam"
        )


@contextmanager
def _any_text() -> Generator[None]:
    """Draw literal text in any script: no formulas between `$`, and fallback fonts."""
    try:
        import matplotlib
        from matplotlib import font_manager
    except ImportError:
        raise MissingExtraError("drawing figures", "plot") from None
    known = {*font_manager.get_font_names()}
    fonts = ["DejaVu Sans", *(name for name in _FONTS if name in known)]
    settings: Any = {"font.family": fonts, "text.parse_math": False}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # a script that no installed font has: boxes in a PNG, the reader's fonts in an SVG
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "Matplotlib currently does not support", UserWarning)
        yield


def shown(token: str) -> str:
    """Format a token for a figure: escaped and truncated."""
    plain = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in token
    )
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def _name_columns(axes: Axes, tokens: Sequence[str]) -> None:
    names = [shown(token) for token in tokens]
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=60)


def _name_rows(axes: Axes, tokens: Sequence[str]) -> None:
    names = [shown(token) for token in tokens]
    axes.set_yticks(range(len(names)), names, fontsize=8)


# attention


def _attention(inspection: Inspection, attention: Attention) -> Figure:
    """Draw the mean, and each head if there are several."""
    panels = [("attention", attention.mean)]
    if len(attention.heads) > 1:
        panels = [("mean of the heads", attention.mean)]
        panels += [(f"head {n}", head) for n, head in enumerate(attention.heads, start=1)]
    wide = 1.2 + 0.28 * len(inspection.source_tokens)
    high = 1.2 + 0.28 * len(inspection.target_tokens)
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure = empty_figure(max(3.0, wide * columns), max(2.5, high * rows))
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for axes, (title, weights) in zip(grid.flat, panels, strict=False):
        axes.imshow(weights, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        _name_columns(axes, inspection.source_tokens)
        _name_rows(axes, inspection.target_tokens)
        axes.set_title(title, fontsize=9)
    return figure


def _alignment(inspection: Inspection, attention: Attention) -> Figure:
    """Draw both sentences, with lines as strong as the attention between their tokens."""
    source, target = inspection.source_tokens, inspection.target_tokens
    count = max(len(source), len(target))
    figure = empty_figure(max(3.0, 0.5 * count), 3.0)
    axes = figure.subplots()
    axes.set(xlim=(-0.7, count - 0.3), ylim=(-0.6, 1.6))
    axes.axis("off")

    def place(index: int, tokens: Sequence[str]) -> float:
        return (index + 0.5) * count / len(tokens) - 0.5

    for row, weights in enumerate(attention.mean):
        for column, weight in enumerate(weights):
            if weight >= 0.05:  # weaker ones would only make a haze
                ends = [place(column, source), place(row, target)]
                axes.plot(ends, [1, 0], color=_BLUE, alpha=min(1.0, weight), linewidth=2 * weight)
    for tokens, y, side in ((source, 1.05, "bottom"), (target, -0.05, "top")):
        for index, token in enumerate(tokens):
            axes.text(
                place(index, tokens), y, shown(token), fontsize=8, color=_INK, ha="center", va=side,
                rotation=60,
            )  # fmt: skip
    return figure


# the beam's tree


def _tree(inspection: Inspection) -> Figure:
    nodes = {node.id: node for node in inspection.tree.nodes}
    places = place_nodes(inspection.tree.nodes)
    steps = max(node.step for node in nodes.values())
    rows = max(places.values()) + 1
    high = 0.9 + 0.19 * rows
    figure = empty_figure(max(7.0, 1.6 + 0.95 * (steps + 1)), high)
    figure.set_layout_engine("none")  # it would measure every one of many texts, many times
    axes = figure.add_axes((0.0, 0.0, 1.0, 1 - 0.3 / high))
    axes.set(xlim=(-0.2, steps + 1.3), ylim=(rows, -1))
    axes.axis("off")
    colours = {"pruned": _GREY, "kept": _INK, "finished": _BLUE, "best": _BLUE, "unseen": _ORANGE}
    for number, y in places.items():
        node = nodes[number]
        if node.parent is not None:
            colour, width = (_ORANGE, 1.2) if node.exact else (_PALE, 0.6)
            before = node.step - 1
            ends = [places[node.parent], y, y]
            axes.plot([before, before, node.step], ends, color=colour, linewidth=width, zorder=1)
        colour, weight = colours[node.state], "bold" if node.state == "best" else "normal"
        axes.plot(node.step, y, ".", color=colour, markersize=5, zorder=2)
        text = shown(node.token)
        if node.parent is not None:
            text += f"  {_percent(node.log_probability)}"
        if node.score is not None:
            text += f"  ({node.score:.2f})"
        axes.text(
            node.step + 0.06, y - 0.12, text, fontsize=6, color=colour, fontweight=weight,
            va="bottom",
        )  # fmt: skip
    legend = "grey: pruned; blue: finished, with its score; bold: chosen"
    if inspection.exact is not None:
        proven = "certified" if inspection.exact.certified else "not certified"
        legend += f"; orange: best found by exact search ({proven})"
    axes.set_title(f"  {legend}", fontsize=8, loc="left")
    return figure


def _percent(log_probability: float) -> str:
    share = 100 * math.exp(log_probability)
    return f"{share:.0f} %" if share >= 0.5 else "<1 %"


# gates


def _gates(layers: Sequence[Layer]) -> Figure:
    """Draw a panel per layer and direction, with the mean of each gate or state as a row."""
    longest = max(len(layer.tokens) for layer in layers)
    high = sum(1.0 + 0.25 * len(layer.values) for layer in layers)
    figure = empty_figure(max(5.0, 1.6 + 0.34 * longest), high)
    ratios = [1.0 + 0.25 * len(layer.values) for layer in layers]
    grid: Any = figure.subplots(len(layers), 1, squeeze=False, height_ratios=ratios)
    image: Any = None
    for axes, layer in zip(grid.flat, layers, strict=True):
        rows = [signal.mean for signal in layer.values.values()]
        image = axes.imshow(rows, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        _name_columns(axes, layer.tokens)
        _name_rows(axes, list(layer.values))
        axes.set_title(f"{layer.side}, layer {layer.layer}, {layer.direction}", fontsize=9)
    label = "mean over the units (of absolute values: candidate, cell, hidden)"
    figure.colorbar(image, ax=grid, label=label, aspect=40)
    return figure
