"""A trained model as one directory: saved, loaded and verified."""

from penstock.bundle.bundle import (
    INDEX,
    Bundle,
    find_bundle,
    load_bundle,
    require_task,
    save_bundle,
)

__all__ = ["INDEX", "Bundle", "find_bundle", "load_bundle", "require_task", "save_bundle"]
