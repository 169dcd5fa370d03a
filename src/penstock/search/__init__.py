"""Search over a decoder step and ids, in numpy: knows neither text nor the model."""

from penstock.search.beam import beam_search
from penstock.search.cancellation import SearchStoppedError, ShouldStop
from penstock.search.exact import exact_search
from penstock.search.exhaustive import exhaustive_search
from penstock.search.greedy import greedy_search
from penstock.search.hypothesis import Hypothesis, OnResult
from penstock.search.limits import Constraints, Limits
from penstock.search.ranking import PLAIN, Ranking
from penstock.search.sampling import sample_search, shape
from penstock.search.step import JoinableState, Step, StepOutput, StepState
from penstock.search.trace import Candidate, SearchTrace

__all__ = [
    "PLAIN",
    "Candidate",
    "Constraints",
    "Hypothesis",
    "JoinableState",
    "Limits",
    "OnResult",
    "Ranking",
    "SearchStoppedError",
    "SearchTrace",
    "ShouldStop",
    "Step",
    "StepOutput",
    "StepState",
    "beam_search",
    "exact_search",
    "exhaustive_search",
    "greedy_search",
    "sample_search",
    "shape",
]
