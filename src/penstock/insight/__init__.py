"""How a model translates a sentence: attention, choices, the beam's tree, gates over time."""

from penstock.insight.inspection import Inspection, as_json
from penstock.insight.inspection_builder import inspect_sentence

__all__ = ["Inspection", "as_json", "inspect_sentence"]
