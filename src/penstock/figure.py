"""Creating and saving figures. Requires the extra `plot`."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import MissingExtraError, UsageError
from penstock.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_SUFFIXES = (".svg", ".png", ".pdf")


def check_figure_name(path: str | Path) -> None:
    """Check that a figure's suffix is a supported format.

    Raises:
        UsageError: it is not.
    """
    if Path(path).suffix.lower() not in FIGURE_SUFFIXES:
        raise UsageError(f"{path}: a figure ends in {', '.join(FIGURE_SUFFIXES)}")


def empty_figure(width: float, height: float) -> Figure:
    """Create a figure with constrained layout, sized in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing figures", "plot") from None
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure atomically and reproducibly, byte for byte.

    Raises:
        UsageError: the suffix is not a supported format.
    """
    import matplotlib

    check_figure_name(path)
    form = path.suffix[1:].lower()
    # by default, SVG ids are random and dates are today's
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    drawn = io.BytesIO()
    settings: Any = {"svg.hashsalt": "penstock", "svg.fonttype": "none"}
    with matplotlib.rc_context(settings):
        figure.savefig(drawn, format=form, dpi=150, metadata=dates.get(form))
    content = drawn.getvalue()
    if form == "svg":  # a third of the file is decimals beyond a hundredth of a point
        content = re.sub(rb"\b(\d{2,}\.\d\d)\d+", rb"\1", content)
    with replacing(path) as partial:
        partial.write_bytes(content)
