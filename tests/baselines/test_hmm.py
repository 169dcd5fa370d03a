"""Hidden Markov models against the enumeration of all hidden paths."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from penstock.baselines.hmm import HiddenMarkov
from penstock.baselines.hmm.log_products import LogProduct
from penstock.errors import DataError, UsageError

INF = math.inf
V = 3
HALF = [[0.5, 0.5], [0.5, 0.5]]
PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 2e-5)]
METHODS = (
    "log_alpha",
    "backward",
    "log_posterior",
    "log_state_given_others",
    "log_observation_given_others",
    "log_pairwise",
)


def random_model(states: int, kind: str, seed: int, dtype: torch.dtype) -> HiddenMarkov:
    """Parameters far from uniform; of kind 'zeros' a third of them are zero probabilities, of kind
    'tiny' a third have logarithms about -10,000, which no float holds as probabilities."""
    generator = torch.Generator().manual_seed(seed)

    def rows(*shape: int) -> Tensor:
        logs = 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)
        if kind != "dense":
            rare = torch.rand(*shape, generator=generator, dtype=torch.float64) < 1 / 3
            rare[..., 0] &= shape[-1] == 1  # something is left in each row
            rare = rare.gather(-1, torch.rand(*shape, generator=generator).argsort(-1))
            logs = logs + torch.where(rare, -INF if kind == "zeros" else -1e4, 0.0)
            logs = torch.where(logs.isneginf().all(-1, keepdim=True), 0.0, logs)
        return logs.log_softmax(-1).to(dtype)

    return HiddenMarkov.from_log(rows(states), rows(states, states), rows(states, V))


def log_sum(values: list[float]) -> float:
    top = max(values, default=-INF)
    return top if top == -INF else top + math.log(math.fsum(math.exp(v - top) for v in values))


def log_ratio(part: float, whole: float) -> float:
    return -INF if whole == -INF else part - whole


class Enumerated:
    """One sequence, all its hidden paths, sums over them by definition."""

    def __init__(self, model: HiddenMarkov, observations: list[int]) -> None:
        assert model.log_emission is not None
        self.initial: list[float] = model.log_initial.tolist()
        self.transition: list[list[float]] = model.log_transition.tolist()
        self.emission: list[list[float]] = model.log_emission.tolist()
        self.observations = observations
        self.states = range(len(self.initial))
        self.joint = self.joints(self.scores(observations))
        self.log_likelihood = log_sum(list(self.joint.values()))

    def scores(self, observations: list[int]) -> list[list[float]]:
        return [[self.emission[k][x] for k in self.states] for x in observations]

    def joints(
        self, scores: list[list[float]], start: int | None = None
    ) -> dict[tuple[int, ...], float]:
        """log P(x, h) of all paths; with `start`, given that they begin in that state."""
        found: dict[tuple[int, ...], float] = {}
        for path in itertools.product(self.states, repeat=len(scores)):
            if start is None:
                total = self.initial[path[0]] + scores[0][path[0]]
            else:
                total = 0.0 if path[0] == start else -INF
            for t in range(1, len(path)):
                total += self.transition[path[t - 1]][path[t]] + scores[t][path[t]]
            found[path] = total
        return found

    def log_alpha(self) -> list[list[float]]:
        scores = self.scores(self.observations)
        prefixes = [self.joints(scores[: t + 1]) for t in range(len(scores))]
        return [
            [log_sum([p for path, p in joint.items() if path[-1] == k]) for k in self.states]
            for joint in prefixes
        ]

    def backward(self) -> list[list[float]]:
        scores = self.scores(self.observations)
        return [
            [log_sum(list(self.joints(scores[t:], start=k).values())) for k in self.states]
            for t in range(len(scores))
        ]

    def marginal(self, joint: dict[tuple[int, ...], float], t: int) -> list[float]:
        whole = log_sum(list(joint.values()))
        return [
            log_ratio(log_sum([p for path, p in joint.items() if path[t] == k]), whole)
            for k in self.states
        ]

    def log_posterior(self) -> list[list[float]]:
        return [self.marginal(self.joint, t) for t in range(len(self.observations))]

    def log_pairwise(self) -> list[list[list[float]]]:
        def pair(t: int, i: int, j: int) -> float:
            found = [p for path, p in self.joint.items() if path[t : t + 2] == (i, j)]
            return log_ratio(log_sum(found), self.log_likelihood)

        steps = range(len(self.observations) - 1)
        return [[[pair(t, i, j) for j in self.states] for i in self.states] for t in steps]

    def log_state_given_others(self) -> list[list[float]]:
        found: list[list[float]] = []
        for t in range(len(self.observations)):
            scores = self.scores(self.observations)
            scores[t] = [0.0 for _ in self.states]  # the observation is summed out
            found.append(self.marginal(self.joints(scores), t))
        return found

    def log_observation_given_others(self) -> list[list[float]]:
        """P(x_t = v | others) = P(x with v at t) / Σ_v P(x with v at t): no messages at all."""
        found: list[list[float]] = []
        for t in range(len(self.observations)):
            logs = [
                log_sum(list(self.joints(self.scores(changed)).values()))
                for v in range(V)
                for changed in [[*self.observations[:t], v, *self.observations[t + 1 :]]]
            ]
            found.append([log_ratio(p, log_sum(logs)) for p in logs])
        return found


def compute(name: str, model: HiddenMarkov, scores: Tensor, lengths: Tensor | None) -> Tensor:
    if name in ("log_alpha", "log_likelihood"):
        return getattr(model.forward(scores, lengths), name)
    return getattr(model, name)(scores, lengths)


def results(
    model: HiddenMarkov, scores: Tensor, lengths: Tensor | None = None
) -> dict[str, Tensor]:
    return {name: compute(name, model, scores, lengths) for name in (*METHODS, "log_likelihood")}


def draw(model: HiddenMarkov, rows: int, steps: int, seed: int) -> Tensor:
    """Observations (B, T) that are possible in the model, but for the last row: any."""
    generator = torch.Generator().manual_seed(seed)
    observations = model.sample(rows, steps, generator=generator).observations
    observations[-1] = torch.randint(V, (steps,), generator=generator)
    return observations


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("kind", ["dense", "zeros", "tiny"])
@pytest.mark.parametrize("states", [1, 2, 3, 4])
def test_all_quantities_equal_enumeration_at_every_length(
    states: int, kind: str, dtype: torch.dtype, tolerance: float
) -> None:
    if kind == "tiny" and dtype == torch.float32:
        tolerance = 5e-3  # the distance of two neighbouring floats near 30,000 is 2e-3
    model = random_model(states, kind, seed=states, dtype=dtype)
    lengths = torch.tensor([3, 6, 1, 4, 2, 5, 6])  # the last row may be impossible
    observations = draw(model, len(lengths), 6, seed=10 * states)
    scores = model.log_likelihoods(observations, lengths)
    found = results(model, scores, lengths)
    for row, length in enumerate(lengths.tolist()):
        truth = Enumerated(model, observations[row, :length].tolist())
        expected = torch.tensor(truth.log_likelihood, dtype=torch.float64)
        torch.testing.assert_close(
            found["log_likelihood"][row].double(), expected, rtol=tolerance, atol=tolerance
        )
        for name in METHODS:
            steps = length - 1 if name == "log_pairwise" else length
            expected = torch.tensor(getattr(truth, name)(), dtype=torch.float64)
            got = found[name][row, :steps].double()
            if steps:
                torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, msg=name)
            assert (found[name][row, steps:] == -INF).all(), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["dense", "zeros", "tiny"])
@pytest.mark.parametrize("states", [1, 2, 3, 4])
def test_viterbi_equals_enumeration_at_every_length(
    states: int, kind: str, dtype: torch.dtype
) -> None:
    model = random_model(states, kind, seed=100 + states, dtype=dtype)
    lengths = torch.tensor([3, 6, 1, 4, 2, 5])
    observations = draw(model, len(lengths), 6, seed=states)
    scores = model.log_likelihoods(observations, lengths)
    decoded = model.viterbi(scores, lengths)
    for row, length in enumerate(lengths.tolist()):
        joint = Enumerated(model, observations[row, :length].tolist()).joint
        best = max(joint.values())
        path = tuple(decoded.states[row, :length].tolist())
        assert joint[path] == best or joint[path] == pytest.approx(best, rel=1e-6)
        assert decoded.log_prob[row].item() == pytest.approx(best, rel=1e-6)
        assert (decoded.states[row, length:] == -1).all()


def test_the_joint_of_given_states_is_that_of_their_path() -> None:
    model = random_model(3, "dense", seed=1, dtype=torch.float64)
    observations = draw(model, 2, 5, seed=2)
    states = torch.tensor([[0, 2, 1, 1, 0], [2, 2, 0, -1, -1]])
    lengths = torch.tensor([5, 3])
    found = model.log_joint(states, model.log_likelihoods(observations, lengths), lengths)
    for row, length in enumerate([5, 3]):
        joint = Enumerated(model, observations[row, :length].tolist()).joint
        assert found[row].item() == pytest.approx(joint[tuple(states[row, :length].tolist())])


# --- ties ---------------------------------------------------------------------------------------


def test_of_paths_that_are_all_alike_viterbi_takes_the_lowest_states() -> None:
    model = HiddenMarkov([0.25] * 4, [[0.25] * 4] * 4, [[1.0]] * 4)
    decoded = model.viterbi(model.log_likelihoods(torch.zeros(3, 50, dtype=torch.long)))
    assert (decoded.states == 0).all()


def test_of_two_states_that_are_copies_viterbi_never_takes_the_second() -> None:
    model = HiddenMarkov(
        [0.2, 0.4, 0.4],
        [[0.5, 0.25, 0.25]] + [[0.1, 0.45, 0.45]] * 2,
        [[0.9, 0.1]] + [[0.2, 0.8]] * 2,
    )
    observations = torch.randint(2, (20, 60), generator=torch.Generator().manual_seed(3))
    states = model.viterbi(model.log_likelihoods(observations)).states
    assert set(states.flatten().tolist()) == {0, 1}


# --- padding and batches ------------------------------------------------------------------------


def backward_derivative(
    model: HiddenMarkov, scores: Tensor, lengths: Tensor | None = None
) -> Tensor:
    scores = scores.clone().requires_grad_()
    beta = model.backward(scores, lengths)
    if scores.shape[1] == 1:  # nothing follows
        return torch.zeros_like(scores)
    return torch.autograd.grad(beta[beta > -INF].square().sum(), scores)[0]


@pytest.mark.parametrize("kind", ["dense", "zeros", "tiny"])
def test_padding_and_other_rows_change_nothing(kind: str) -> None:
    exact = random_model(4, kind, seed=5, dtype=torch.float64)
    assert exact.log_emission is not None
    # rows that sum to one only nearly: a message that ran on in the padding would drift
    model = HiddenMarkov.from_log(
        exact.log_initial, exact.log_transition - 9e-6, exact.log_emission
    )
    lengths = torch.tensor([7, 1, 30, 12])
    observations = draw(model, 4, 30, seed=6)
    scores = model.log_likelihoods(observations, lengths)
    garbage = scores.clone()
    for row, length in enumerate(lengths.tolist()):
        garbage[row, length:] = torch.tensor([math.nan, INF, -1e30, 5.0], dtype=torch.float64)
    together, spoiled = results(model, scores, lengths), results(model, garbage, lengths)
    decoded, spoiled_path = model.viterbi(scores, lengths), model.viterbi(garbage, lengths)
    gradients = backward_derivative(model, garbage, lengths)
    for name, value in together.items():
        assert torch.equal(value, spoiled[name]), name
    assert torch.equal(decoded.states, spoiled_path.states)
    assert torch.equal(decoded.log_prob, spoiled_path.log_prob)
    for row, length in enumerate(lengths.tolist()):
        alone = results(model, scores[row : row + 1, :length])
        gradient = backward_derivative(model, scores[row : row + 1, :length])
        torch.testing.assert_close(gradients[row : row + 1, :length], gradient)
        for name, value in alone.items():
            got = together[name][row]
            got = got if name == "log_likelihood" else got[: value.shape[1]]
            torch.testing.assert_close(got, value[0], rtol=1e-12, atol=1e-12, msg=name)
        path = model.viterbi(scores[row : row + 1, :length]).states[0]
        assert torch.equal(decoded.states[row, :length], path)


def test_what_is_given_is_left_as_it_was() -> None:
    model = random_model(3, "dense", seed=1, dtype=torch.float32)
    for shape in [(1, 4, 3), (4, 1, 3), (2, 3, 3)]:  # with one row or step a transpose is a view
        scores = torch.randn(*shape)
        before = scores.clone()
        results(model, scores, torch.ones(shape[0], dtype=torch.long))
        model.viterbi(scores)
        assert torch.equal(scores, before)


# --- precision ----------------------------------------------------------------------------------


def plain_recursion(model: HiddenMarkov, scores: Tensor) -> tuple[Tensor, Tensor]:
    """log α and log β by logsumexp over (B, K, K) in float64, nothing shifted."""
    scores, transition = scores.double(), model.log_transition.double()
    alphas = [model.log_initial.double() + scores[:, 0]]
    betas = [torch.zeros_like(alphas[0])]
    for t in range(1, scores.shape[1]):
        alphas.append((alphas[-1][:, :, None] + transition).logsumexp(1) + scores[:, t])
        after = (betas[-1] + scores[:, -t])[:, None, :]
        betas.append((after + transition).logsumexp(2))
    return torch.stack(alphas, 1), torch.stack(betas[::-1], 1)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-8), (torch.float32, 1e-4)],
    ids=["float64", "float32"],
)
def test_stable_over_ten_thousand_steps(dtype: torch.dtype, tolerance: float) -> None:
    model = random_model(5, "dense", seed=7, dtype=dtype)
    scores = model.log_likelihoods(draw(model, 2, 10_000, seed=8))
    alpha, beta = plain_recursion(model, scores)
    likelihood = alpha[:, -1].logsumexp(1)
    assert (likelihood < -5_000).all()  # far below the least float
    log_alpha, log_likelihood = model.forward(scores)
    torch.testing.assert_close(log_likelihood.double(), likelihood, rtol=1.2e-7, atol=0)
    torch.testing.assert_close(log_alpha.double(), alpha, rtol=1e-6, atol=1e-3)
    torch.testing.assert_close(model.backward(scores).double(), beta, rtol=1e-6, atol=1e-3)
    posterior = model.log_posterior(scores).exp().double()
    expected = (alpha + beta - likelihood[:, None, None]).exp()
    torch.testing.assert_close(posterior, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_viterbi_is_stable_over_ten_thousand_steps(dtype: torch.dtype) -> None:
    model = random_model(5, "dense", seed=7, dtype=dtype)
    scores = model.log_likelihoods(draw(model, 2, 10_000, seed=8))
    best = model.log_initial.double() + scores[:, 0]
    for t in range(1, scores.shape[1]):
        best = (best[:, :, None] + model.log_transition).amax(1) + scores[:, t]
    found = model.viterbi(scores)
    torch.testing.assert_close(found.log_prob.double(), best.amax(1), rtol=1.2e-7, atol=0)
    exact = model.log_joint(found.states, scores.double())
    torch.testing.assert_close(exact, best.amax(1), rtol=1e-12, atol=0)  # it is a best path


def test_viterbi_sees_small_differences_late_in_a_long_sequence() -> None:
    """With even moves each state is chosen alone; by then log P is coarser than what decides."""
    model = HiddenMarkov([0.5, 0.5], HALF)
    noise = torch.randn(1, 3000, 2, generator=torch.Generator().manual_seed(24))
    scores = -20 + 1e-4 * noise
    assert torch.equal(model.viterbi(scores).states, scores.argmax(2))


logarithms = st.one_of(
    st.just(-INF), st.floats(-200, 0), st.floats(-2e5, 0), st.sampled_from([0.0, -1e4, -90.0])
)


@settings(deadline=None)
@given(st.data(), st.sampled_from([torch.float32, torch.float64]))
def test_a_product_of_logarithms_is_exact_where_probabilities_underflow(
    data: st.DataObject, dtype: torch.dtype
) -> None:
    """Value and derivatives, against logsumexp over (B, K, J) in float64."""
    rows, inner, outer = (data.draw(st.integers(1, 4)) for _ in range(3))

    def tensor(*shape: int) -> Tensor:
        size = math.prod(shape)
        values = data.draw(st.lists(logarithms, min_size=size, max_size=size))
        return torch.tensor(values, dtype=dtype).view(shape)

    x, log_matrix = tensor(rows, inner).requires_grad_(), tensor(inner, outer).requires_grad_()
    y, top = LogProduct(log_matrix)(x)
    terms = x.detach().double()[:, :, None] + log_matrix.detach().double()
    expected = terms.logsumexp(1)
    tolerance = 8 * torch.finfo(dtype).eps
    found = (y.double() + top.double()).detach()
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=20 * tolerance)

    weights = torch.arange(1.0, rows * outer + 1, dtype=dtype).view(rows, outer)
    derivatives = torch.autograd.grad(y, [x, log_matrix], weights)
    # shares of what a float of this type makes of the terms: near 2e5 it is coarse
    terms = ((x.detach() - top)[:, :, None] + log_matrix.detach()).double()
    shares = terms.softmax(1).nan_to_num(nan=0.0) * weights[:, None, :]
    close = 1e-4 if dtype == torch.float32 else 1e-12
    for got, wanted in zip(derivatives, [shares.sum(2), shares.sum(0)], strict=True):
        torch.testing.assert_close(got.double(), wanted, rtol=close, atol=close)


def test_a_path_that_no_float_can_hold_is_found() -> None:
    """Two moves of probability e^-10000 are the only way from the first observation to the last."""
    never, almost = -1e4, 0.0  # log(1 - e^-10000) is 0 in a float
    for dtype in (torch.float32, torch.float64):
        model = HiddenMarkov.from_log(
            torch.tensor([0.0, -INF, -INF], dtype=dtype),
            torch.tensor(
                [[almost, never, -INF], [-INF, almost, never], [-INF, -INF, 0.0]], dtype=dtype
            ),
            torch.tensor([[0.0, -INF], [0.0, -INF], [-INF, 0.0]], dtype=dtype),
        )
        scores = model.log_likelihoods(torch.tensor([[0, 0, 0, 1]]))
        assert model.forward(scores).log_likelihood.item() == pytest.approx(-2e4 + math.log(2))
        assert model.viterbi(scores).log_prob.item() == pytest.approx(-2e4)
        posterior = model.log_posterior(scores).exp()
        expected = torch.tensor([[[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]]], dtype=dtype)
        torch.testing.assert_close(posterior, expected)
        logs = parameters(model)
        varied, scores = HiddenMarkov.from_log(*logs), scores.requires_grad_()
        varied.forward(scores).log_likelihood.sum().backward()
        torch.testing.assert_close(scores.grad, expected)  # the posterior again
        moves = [[0.5, 1, 0], [0, 0.5, 1], [0, 0, 0]]
        torch.testing.assert_close(logs[1].grad, torch.tensor(moves, dtype=dtype))


# --- derivatives --------------------------------------------------------------------------------


def parameters(model: HiddenMarkov) -> list[Tensor]:
    assert model.log_emission is not None
    logs = (model.log_initial, model.log_transition, model.log_emission)
    return [log.clone().requires_grad_() for log in logs]


@pytest.mark.parametrize("name", [*METHODS, "log_likelihood"])
def test_derivatives_are_right(name: str) -> None:
    torch.manual_seed(1)
    model = random_model(3, "dense", seed=9, dtype=torch.float64)
    lengths = torch.tensor([4, 2])
    observations = draw(model, 2, 4, seed=1)

    def function(*free: Tensor) -> Tensor:
        normal = [x.log_softmax(-1) for x in free[:3]]
        varied = HiddenMarkov.from_log(*normal)
        scores = varied.log_likelihoods(observations, lengths) + free[3]
        found = compute(name, varied, scores, lengths)
        return found[found > -INF]

    free = [*parameters(model), torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)]
    assert torch.autograd.gradcheck(function, free)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["dense", "zeros", "tiny"])
def test_derivatives_of_the_likelihood_are_expected_counts(kind: str, dtype: torch.dtype) -> None:
    """By the scores the posterior, by the moves their expected number: also of rare ones."""
    model = random_model(4, kind, seed=11, dtype=dtype)
    lengths = torch.tensor([6, 1, 5, 6])
    observations = draw(model, 4, 6, seed=12)
    logs = parameters(model)
    varied = HiddenMarkov.from_log(*logs)
    scores = varied.log_likelihoods(observations, lengths).detach().requires_grad_()
    likelihood = varied.forward(scores, lengths).log_likelihood
    likelihood[likelihood > -INF].sum().backward()
    possible = (likelihood > -INF)[:, None, None]
    posterior = model.log_posterior(scores.detach(), lengths).exp()
    pairs = model.log_pairwise(scores.detach(), lengths).exp()
    for found, expected in [
        (scores.grad, torch.where(possible, posterior, 0.0)),
        (logs[1].grad, pairs.sum((0, 1))),
        (logs[0].grad, posterior[:, 0].sum(0)),
    ]:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "zeros", "tiny"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_derivatives_are_finite_with_zero_probabilities(kind: str, dtype: torch.dtype) -> None:
    model = random_model(4, kind, seed=13, dtype=dtype)
    observations = draw(model, 5, 20, seed=14)  # the last row may be impossible
    logs = parameters(model)
    varied = HiddenMarkov.from_log(*logs)
    lengths = torch.tensor([20, 3, 1, 15, 20])
    found = results(varied, varied.log_likelihoods(observations, lengths), lengths)
    total = sum(x[x > -INF].sum() for x in found.values())
    assert isinstance(total, Tensor)
    for derivative in torch.autograd.grad(total, logs):
        assert derivative.isfinite().all()


@pytest.mark.parametrize("which", [0, 1])
def test_derivatives_by_one_parameter_alone(which: int) -> None:
    model = random_model(3, "dense", seed=22, dtype=torch.float64)
    logs = [log.detach() for log in parameters(model)]
    logs[which].requires_grad_()
    scores = model.log_likelihoods(draw(model, 2, 5, seed=23))
    alone = HiddenMarkov.from_log(*logs).forward(scores).log_likelihood.sum()
    every = parameters(model)
    together = HiddenMarkov.from_log(*every).forward(scores).log_likelihood.sum()
    torch.testing.assert_close(
        torch.autograd.grad(alone, logs[which])[0], torch.autograd.grad(together, every[which])[0]
    )


def test_an_impossible_sequence_has_no_posterior_and_no_derivatives() -> None:
    model = HiddenMarkov([1.0, 0.0], [[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.5, 0.5]])
    logs = parameters(model)
    varied = HiddenMarkov.from_log(*logs)
    scores = varied.log_likelihoods(torch.tensor([[0, 1, 0], [0, 0, 0]]))
    found = results(varied, scores)
    assert found["log_likelihood"].tolist() == [-INF, 0.0]
    assert (found["log_posterior"][0] == -INF).all()
    assert found["log_posterior"][1].exp().tolist() == [[1.0, 0.0]] * 3
    assert model.viterbi(scores).log_prob.tolist() == [-INF, 0.0]
    # the second observation alone is impossible: given the others it is known to be a 0
    assert found["log_observation_given_others"][0].exp().tolist()[1] == [1.0, 0.0]
    derivatives = torch.autograd.grad(found["log_likelihood"][0], logs)
    assert all((derivative == 0).all() for derivative in derivatives)


# --- sampling -----------------------------------------------------------------------------------


def test_sampled_sequences_have_the_models_probabilities() -> None:
    """Pearson's chi-square over all outcomes of three steps; the seed is fixed.

    A right sampler fails for one seed in a million at most: the tail of chi-square with d degrees
    beyond d + 2 √(d x) + 2 x is at most e^-x (Laurent and Massart 2000, lemma 1).
    """
    model = HiddenMarkov([0.3, 0.7], [[0.8, 0.2], [0.4, 0.6]], [[0.5, 0.5], [0.9, 0.1]])
    count, x = 60_000, math.log(1e6)
    drawn = model.sample(count, 3, generator=torch.Generator().manual_seed(15))
    outcomes = torch.tensor(list(itertools.product([0, 1], repeat=6)))
    joint = model.log_joint(outcomes[:, :3], model.log_likelihoods(outcomes[:, 3:]))
    expected = count * joint.exp().double()
    assert expected.min() > 10  # the approximation by chi-square holds
    powers = 2 ** torch.arange(5, -1, -1)
    cells = torch.cat([drawn.states, drawn.observations], 1) @ powers
    observed = torch.bincount(cells, minlength=64).double()
    degrees = 63
    statistic = ((observed - expected) ** 2 / expected).sum().item()
    assert statistic < degrees + 2 * math.sqrt(degrees * x) + 2 * x
    # and it would notice: a model of slightly other moves is refused
    other = HiddenMarkov([0.3, 0.7], [[0.75, 0.25], [0.4, 0.6]], [[0.5, 0.5], [0.9, 0.1]])
    joint = other.log_joint(outcomes[:, :3], other.log_likelihoods(outcomes[:, 3:]))
    expected = count * joint.exp().double()
    statistic = ((observed - expected) ** 2 / expected).sum().item()
    assert statistic > degrees + 2 * math.sqrt(degrees * x) + 2 * x


def test_sampling_is_decided_by_the_seed_and_draws_nothing_impossible() -> None:
    model = random_model(4, "zeros", seed=16, dtype=torch.float32)
    drawn = model.sample(200, 40, generator=torch.Generator().manual_seed(17))
    again = model.sample(200, 40, generator=torch.Generator().manual_seed(17))
    other = model.sample(200, 40, generator=torch.Generator().manual_seed(18))
    assert torch.equal(drawn.states, again.states)
    assert torch.equal(drawn.observations, again.observations)
    assert not torch.equal(drawn.observations, other.observations)
    joint = model.log_joint(drawn.states, model.log_likelihoods(drawn.observations))
    assert joint.isfinite().all()


# --- learning -----------------------------------------------------------------------------------


def test_one_iteration_of_fit_equals_counts_over_all_paths() -> None:
    model = random_model(3, "dense", seed=19, dtype=torch.float64)
    lengths = torch.tensor([4, 1, 3])
    observations = draw(model, 3, 4, seed=20)
    initial, transition = torch.zeros(3).double(), torch.zeros(3, 3).double()
    emission = torch.zeros(3, V).double()
    for row, length in enumerate(lengths.tolist()):
        seen = observations[row, :length].tolist()
        truth = Enumerated(model, seen)
        for path, log_joint in truth.joint.items():
            weight = math.exp(log_joint - truth.log_likelihood)
            initial[path[0]] += weight
            for t, (state, x) in enumerate(zip(path, seen, strict=True)):
                emission[state, x] += weight
                if t:
                    transition[path[t - 1], state] += weight
    fitted = model.fit(observations, lengths, iterations=1).model
    assert fitted.log_emission is not None
    for found, counts in [
        (fitted.log_initial, initial),
        (fitted.log_transition, transition),
        (fitted.log_emission, emission),
    ]:
        torch.testing.assert_close(found.exp(), counts / counts.sum(-1, keepdim=True))
        assert not found.requires_grad


def test_fit_never_makes_the_sequences_less_likely_and_finds_a_clear_model() -> None:
    truth = HiddenMarkov([0.5, 0.5], [[0.95, 0.05], [0.1, 0.9]], [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    observations = truth.sample(40, 200, generator=torch.Generator().manual_seed(21)).observations
    start = HiddenMarkov([0.5, 0.5], [[0.6, 0.4], [0.4, 0.6]], [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    fitted = start.fit(observations, iterations=200, tolerance=1e-3)
    gains = [b - a for a, b in itertools.pairwise(fitted.log_likelihoods)]
    assert 5 < len(gains) < 200  # it stopped by itself
    assert min(gains[:-1]) >= 1e-3
    assert fitted.model.log_emission is not None
    assert truth.log_emission is not None
    for found, expected in [
        (fitted.model.log_transition, truth.log_transition),
        (fitted.model.log_emission, truth.log_emission),
    ]:
        torch.testing.assert_close(found.exp(), expected.exp(), rtol=0, atol=0.03)
    scores = fitted.model.log_likelihoods(observations)
    found = fitted.model.forward(scores).log_likelihood.double().mean().item()
    assert found == pytest.approx(fitted.log_likelihoods[-1], rel=1e-6)


def test_fit_keeps_the_rows_of_a_state_that_is_never_reached() -> None:
    model = HiddenMarkov([1.0, 0.0], [[1.0, 0.0], [0.25, 0.75]], [[0.5, 0.5], [0.125, 0.875]])
    fitted = model.fit(torch.tensor([[0, 0, 1, 0]]), iterations=3).model
    assert fitted.log_emission is not None
    torch.testing.assert_close(fitted.log_transition.exp()[1], torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(
        fitted.log_emission.exp(), torch.tensor([[0.75, 0.25], [0.125, 0.875]])
    )


def test_other_emissions_need_no_table() -> None:
    """Gaussian log-densities, which may be above zero, against their enumeration by hand."""
    model = HiddenMarkov([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]])
    normal = torch.distributions.Normal(torch.tensor([0.0, 1.0]), torch.tensor([0.1, 0.1]))
    scores = normal.log_prob(torch.tensor([0.02, 0.95])[:, None])[None]
    density = scores[0].exp()
    paths = {
        (i, j): 0.5 * density[0, i] * model.log_transition[i, j].exp() * density[1, j]
        for i in (0, 1)
        for j in (0, 1)
    }
    expected = torch.log(torch.stack(list(paths.values())).sum())
    torch.testing.assert_close(model.forward(scores).log_likelihood[0], expected)
    assert model.viterbi(scores).states.tolist() == [[0, 1]]


# --- bad input ----------------------------------------------------------------------------------

WRONG_MODELS: list[tuple[Callable[[], object], str]] = [
    (lambda: HiddenMarkov([0.5, 0.4], HALF, HALF), r"initial: sums to 0.9, .* divide each row"),
    (
        lambda: HiddenMarkov([0.5, 0.5], [[0.5, 0.5], [0.5, 0.6]], HALF),
        r"transition, row 1: sums to 1.1, and must sum to 1; divide each row by its sum",
    ),
    (lambda: HiddenMarkov([1, 0], HALF, [[1, 0], [0, 0]]), r"emission, row 1: sums to 0,"),
    (
        lambda: HiddenMarkov([0.5, 0.5], [[1.5, -0.5], [0.5, 0.5]], HALF),
        r"transition\[0, 0\]: 1.5 is no probability; give numbers from 0 to 1, or logarithms",
    ),
    (lambda: HiddenMarkov([math.nan, 1], HALF), r"initial\[0\]: nan is no probability"),
    (lambda: HiddenMarkov([1.0], HALF), r"shapes do not fit: initial \(1,\), transition \(2, 2\)"),
    (lambda: HiddenMarkov([0.5, 0.5], HALF, [[1.0]]), r"emission \(1, 1\); give initial \(K,\)"),
    (
        lambda: HiddenMarkov.from_log(torch.zeros(1), torch.full((1, 1), -0.1)),
        r"transition, row 0: sums to 0.904837",
    ),
    (
        lambda: HiddenMarkov.from_log(torch.zeros(1).half(), torch.zeros(1, 1).half()),
        r"initial of type torch.float16; give float32 or float64",
    ),
]


@pytest.mark.parametrize(("make", "message"), WRONG_MODELS)
def test_what_is_no_model_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_wrong_arguments_are_refused_with_place_value_and_remedy() -> None:
    model = HiddenMarkov([0.5, 0.5], HALF, HALF)
    scores = torch.zeros(3, 4, 2)
    with pytest.raises(UsageError, match=r"log_likelihoods of shape \(3, 4\); give \(B, T, 2\)"):
        model.forward(scores[..., 0])
    with pytest.raises(UsageError, match=r"type torch.int64; give float32 or float64"):
        model.backward(scores.long())
    with pytest.raises(UsageError, match=r"lengths\[1\] is 5; a sequence has 1 to 4 positions"):
        model.viterbi(scores, torch.tensor([4, 5, 1]))
    with pytest.raises(UsageError, match=r"lengths of shape \(2,\).* each of the 3 sequences"):
        model.log_posterior(scores, torch.tensor([4, 4]))
    scores[2, 1, 0] = math.nan
    with pytest.raises(DataError, match=r"log_likelihoods\[2, 1, 0\] is nan; give a number, or"):
        model.log_posterior(scores)
    with pytest.raises(DataError, match=r"observations\[1, 2\] is 2, .* emits ids 0 to 1"):
        model.log_likelihoods(torch.tensor([[0, 1, 1], [0, 1, 2]]))
    with pytest.raises(UsageError, match=r"observations of shape \(2,\) .* give ids as \(B, T\)"):
        model.log_likelihoods(torch.tensor([0, 1]))
    with pytest.raises(UsageError, match=r"length 0: give 1 or more"):
        model.sample(1, 0, generator=torch.Generator())
    with pytest.raises(UsageError, match=r"no emissions; give them to HiddenMarkov as its third"):
        HiddenMarkov([1.0], [[1.0]]).sample(1, 1, generator=torch.Generator())
    certain = HiddenMarkov([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(DataError, match=r"sequence 1 is impossible in the model; begin with"):
        certain.fit(torch.tensor([[0, 0], [0, 1]]))
