"""penstock: train, explain and ship gated recurrent sequence models from plain text."""

import os

from penstock.version import __version__

# Low-precision products on a CPU are compiled for each shape and cached; the library's own limit
# of 1024 is less than a training run meets. It reads this when torch is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")

__all__ = ["__version__"]
