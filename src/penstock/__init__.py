"""penstock: train, explain and ship gated recurrent sequence models from plain text."""

from penstock.version import __version__

__all__ = ["__version__"]
