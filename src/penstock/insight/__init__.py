"""What a model does with one sentence: attention, choices, the beam's tree, gates over time."""

from penstock.insight.inspecting import inspect_sentence
from penstock.insight.inspection import Inspection, as_json

__all__ = ["Inspection", "as_json", "inspect_sentence"]
