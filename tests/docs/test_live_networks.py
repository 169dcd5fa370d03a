"""The networks in the chapter's figures: values, gradients and updates are torch's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch

from live_figures import in_node, needs_node

pytestmark = needs_node


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_what_lights_up_is_what_gradients_reach(layers: int) -> None:
    """Inputs of the middle output: by the paths of the drawing, and where its gradient is not 0."""
    expression = """["deep", "both", "stacks", "mistake"].map((kind) =>
        figure.reach(figure.network(kind, value), `o${value + 1}.3`).filter((n) => n[0] === "x"))"""
    drawn = [{int(n[-1]) for n in names} for names in in_node("unrolled.js", expression, layers)]
    torch.manual_seed(layers)
    options: dict[str, Any] = {"num_layers": layers, "batch_first": True}
    one, other = torch.nn.GRU(2, 3, **options), torch.nn.GRU(2, 3, **options)
    both = torch.nn.GRU(2, 3, bidirectional=True, **options)

    def reached(output: Callable[[torch.Tensor], torch.Tensor]) -> set[int]:
        x = torch.randn(1, 5, 2, requires_grad=True)
        [gradient] = torch.autograd.grad(output(x).sum(), x)
        return {t + 1 for t in range(5) if gradient[0, t].abs().sum() > 0}

    assert drawn[0] == reached(lambda x: one(x)[0][:, 2])
    assert drawn[1] == reached(lambda x: both(x)[0][:, 2])
    assert drawn[2] == reached(lambda x: one(x)[0][:, 1] + other(x.flip(1))[0][:, 1])
    assert drawn[3] == reached(lambda x: both(x)[0][:, 1, :3] + both(x)[0][:, 3, 3:])
    assert (3 in drawn[3]) == (layers > 1)


KINDS = ("rnn", "gru", "lstm")
WEIGHTS = ("normal", "uniform", "xavier", "orthogonal")


@cache
def gradients_drawn() -> dict[str, Any]:
    """Weights, inputs and gradients by cell and first weights, from one start of Node.js."""
    expression = """(() => {
        const plain = (matrix) => matrix.map((row) => Array.from(row));
        const [data, along] = [figure.inputs(12, 4), figure.direction(5)];
        const drawn = ([kind, name]) => {
            const weights = figure.firstWeights(kind, name, 1.5, 3);
            const { input, hidden, bias } = weights;
            return [`${kind} ${name}`, {
                input: plain(input), hidden: plain(hidden), bias: Array.from(bias),
                data: plain(data), along: Array.from(along),
                found: figure.gradients(kind, weights, data, along) }];
        };
        return Object.fromEntries(value.map(drawn));
    })()"""
    return in_node("lag.js", expression, list(product(KINDS, WEIGHTS)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WEIGHTS)
def test_gradients_over_lags_are_those_of_autograd(kind: str, name: str) -> None:
    drawn = gradients_drawn()[f"{kind} {name}"]
    cells = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
    data, along = (torch.tensor(drawn[key], dtype=torch.float64) for key in ("data", "along"))
    cell = cells[kind](data.shape[1], len(along)).double()
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor(drawn["input"], dtype=torch.float64))
        cell.weight_hh.copy_(torch.tensor(drawn["hidden"], dtype=torch.float64))
        cell.bias_ih.copy_(torch.tensor(drawn["bias"], dtype=torch.float64))
        cell.bias_hh.zero_()
    state: Any = (torch.zeros(1, len(along)).double(),) * (2 if kind == "lstm" else 1)
    states = []
    for x in data:
        found = cell(x[None], state if kind == "lstm" else state[0])
        state = found if kind == "lstm" else (found,)
        states.append(state)
    wanted = [part for each in states for part in each]
    loss = state[0][0] @ along
    by_state = torch.autograd.grad(loss, wanted, retain_graph=True, materialize_grads=True)
    norms = torch.stack(by_state).view(len(data), -1).norm(dim=1).flip(0)
    torch.testing.assert_close(torch.tensor(drawn["found"]["norms"]), norms, check_dtype=False)
    weights = torch.autograd.grad(loss, list(cell.parameters()))
    whole = torch.cat([each.flatten() for each in weights]).norm()
    assert drawn["found"]["whole"] == pytest.approx(whole.item())


def test_the_language_model_trains_as_torch_does() -> None:
    """Loss and gradients of a window, the weights after three updates, and the perplexities."""
    expression = """(() => {
        const model = figure.create(value, 5, 1);
        const copy = (weights) =>
            Object.fromEntries(Object.entries(weights).map(([k, v]) => [k, Array.from(v)]));
        const [windows, before] = [[], copy(model.weights)];
        const unigram = figure.unigramPerplexity(model);
        const inputs = model.train.slice(0, 7), targets = model.train.slice(1, 8);
        const zero = [new Float64Array(5)];
        const { loss, grads } = figure.gradients(model, [inputs], [targets], zero);
        const losses = Array.from({ length: 3 }, () => figure.update(model, 0.02));
        return { ...model, before, unigram, inputs, targets, loss, grads: copy(grads), losses,
            after: copy(model.weights), perplexity: figure.heldOutPerplexity(model) };
    })()"""
    text = "it was the best of times, it was the worst of times; " * 6
    found = in_node("language_model.js", expression, text)
    size, hidden = len(found["vocabulary"]), 5
    gru = torch.nn.GRU(size, hidden, batch_first=True).double()
    readout = torch.nn.Linear(hidden, size).double()
    parameters = {
        "input": gru.weight_ih_l0, "hidden": gru.weight_hh_l0, "inputBias": gru.bias_ih_l0,
        "hiddenBias": gru.bias_hh_l0, "output": readout.weight, "outputBias": readout.bias,
    }  # fmt: skip

    def shaped(name: str, values: list[float]) -> torch.Tensor:
        flat = torch.tensor(values, dtype=torch.float64)
        like = parameters[name]
        return flat.view(size, -1).T if name == "input" else flat.view(like.shape)

    def loss_of(
        inputs: torch.Tensor, targets: torch.Tensor, state: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        states, last = gru(torch.nn.functional.one_hot(inputs, size).double(), state)
        logits = readout(states).flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, targets.flatten()), last.detach()

    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(shaped(name, found["before"][name]))
    loss, _ = loss_of(torch.tensor([found["inputs"]]), torch.tensor([found["targets"]]), None)
    assert found["loss"] == pytest.approx(loss.item())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    for name, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(shaped(name, found["grads"][name]), gradient)

    train, rows = found["train"], found["rows"]
    length = (len(train) - 1) // rows
    optimizer = torch.optim.Adam(parameters.values(), lr=0.02)
    state, at = None, 0
    for expected in found["losses"]:
        if at + 1 > length:
            state, at = None, 0
        stop = min(at + 32, length)
        cut = [[train[r * length + at + s : r * length + stop + s] for r in range(rows)]
               for s in (0, 1)]  # fmt: skip
        loss, state = loss_of(torch.tensor(cut[0]), torch.tensor(cut[1]), state)
        assert expected == pytest.approx(loss.item())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        at = stop
    for name, parameter in parameters.items():
        torch.testing.assert_close(shaped(name, found["after"][name]), parameter.detach())
    assert train + found["heldOut"] == [found["vocabulary"].index(c) for c in text]
    held = torch.tensor([found["heldOut"]])
    loss, _ = loss_of(held[:, :-1], held[:, 1:], None)
    assert found["perplexity"] == pytest.approx(loss.exp().item())
    shares = (torch.bincount(torch.tensor(train), minlength=size) + 1.0) / (len(train) + size)
    assert found["unigram"] == pytest.approx(shares[held[0, 1:]].log().mean().neg().exp().item())
