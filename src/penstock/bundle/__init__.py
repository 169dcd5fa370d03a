"""A trained model as one directory: saved, loaded and verified."""

from penstock.bundle.bundle import Bundle, load_bundle, save_bundle
from penstock.bundle.bundle_files import GRAPH_ROLES, INDEX, ROLES, find_bundle

__all__ = [
    "GRAPH_ROLES",
    "INDEX",
    "ROLES",
    "Bundle",
    "find_bundle",
    "load_bundle",
    "save_bundle",
]
