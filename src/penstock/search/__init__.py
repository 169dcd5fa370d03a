"""Search over a step function and ids: knows neither text nor data."""

from penstock.search.beam import beam_search
from penstock.search.exhaustive import exhaustive_search
from penstock.search.greedy import greedy_search
from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Limits, normalized
from penstock.search.sampling import sample_search, shape
from penstock.search.step import Step, StepOutput, StepState

__all__ = [
    "Hypothesis",
    "Limits",
    "Step",
    "StepOutput",
    "StepState",
    "beam_search",
    "exhaustive_search",
    "greedy_search",
    "normalized",
    "sample_search",
    "shape",
]
