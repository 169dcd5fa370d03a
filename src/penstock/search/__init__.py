"""Search over a step function and ids: knows neither text nor data."""

from penstock.search.beam import beam_search
from penstock.search.cancellation import SearchStoppedError, stopped_when
from penstock.search.exact import exact_search
from penstock.search.exhaustive import exhaustive_search
from penstock.search.greedy import greedy_search
from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Demands, Limits
from penstock.search.ranking import PLAIN, Ranking
from penstock.search.sampling import sample_search, shape
from penstock.search.step import JoinableState, Step, StepOutput, StepState
from penstock.search.trace import Candidate, Watch

__all__ = [
    "PLAIN",
    "Candidate",
    "Demands",
    "Hypothesis",
    "JoinableState",
    "Limits",
    "Ranking",
    "SearchStoppedError",
    "Step",
    "StepOutput",
    "StepState",
    "Watch",
    "beam_search",
    "exact_search",
    "exhaustive_search",
    "greedy_search",
    "sample_search",
    "shape",
    "stopped_when",
]
