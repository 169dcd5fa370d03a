"""Attention against loops: one query, one key, one head at a time, straight from the papers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from penstock.nn.attention import Attention, AttentionSizes, make_attention
from penstock.nn.attention.additive import AdditiveAttention
from penstock.nn.attention.multihead import MultiheadAttention

KINDS = ("dot", "general", "additive", "multihead")
B, T, S, H, A = 3, 4, 5, 6, 8
LENGTHS = torch.tensor([5, 1, 3])
MASK = torch.arange(S) < LENGTHS[:, None]


def attention(kind: str, *, value_size: int = H, heads: int = 2) -> Attention:
    torch.manual_seed(1)
    module = make_attention(kind, AttentionSizes(H, value_size, A, heads))
    assert module is not None
    return module.double()


def inputs(*, value_size: int = H) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    queries = torch.randn(B, T, H, dtype=torch.float64)
    return queries, torch.randn(B, S, value_size, dtype=torch.float64)


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer on one vector, by its own product; no layer, no change."""
    if not isinstance(layer, nn.Linear):
        return x
    product = torch.stack([(row * x).sum() for row in layer.weight])
    return product if layer.bias is None else product + layer.bias


def naive(module: Attention, queries: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Context (B, T, M) and weights (B, heads, T, S), reading real tokens only."""
    contexts = torch.zeros(B, T, values.shape[-1], dtype=torch.float64)
    weights = torch.zeros(B, module.heads, T, S, dtype=torch.float64)
    for b, length in enumerate(LENGTHS.tolist()):
        for t in range(T):
            parts = []
            for head in range(module.heads):
                scores = [score(module, queries[b, t], values[b, s], head) for s in range(length)]
                exponentials = [math.exp(x) for x in scores]
                for s in range(length):
                    weights[b, head, t, s] = exponentials[s] / sum(exponentials)
                seen = [of_head(module, linear(module.project_values, v), head) for v in values[b]]
                parts.append(
                    sum((weights[b, head, t, s] * seen[s] for s in range(length)), torch.zeros(()))
                )
            contexts[b, t] = linear(module.project_context, torch.cat(parts))
    return contexts, weights


def score(module: Attention, query: Tensor, value: Tensor, head: int) -> float:
    query = of_head(module, linear(module.project_query, query), head)
    key = of_head(module, linear(module.project_keys, value), head)
    if isinstance(module, AdditiveAttention):
        return linear(module.energy, torch.tanh(query + key)).item()
    product = (query * key).sum().item()
    return (
        product / math.sqrt(A / module.heads) if isinstance(module, MultiheadAttention) else product
    )


def of_head(module: Attention, x: Tensor, head: int) -> Tensor:
    return x.chunk(module.heads)[head]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_equals_its_loop(kind: str) -> None:
    module = attention(kind)
    queries, values = inputs()
    context, weights = module(queries, module.keys(values), values, MASK)
    expected_context, expected_weights = naive(module, queries, values)
    torch.testing.assert_close(context, expected_context, rtol=0, atol=1e-10)
    torch.testing.assert_close(weights, expected_weights, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["general", "additive", "multihead"])
def test_values_may_be_of_another_width_than_queries(kind: str) -> None:
    module = attention(kind, value_size=7)
    queries, values = inputs(value_size=7)
    context, weights = module(queries, module.keys(values), values, MASK)
    expected_context, expected_weights = naive(module, queries, values)
    torch.testing.assert_close(context, expected_context, rtol=0, atol=1e-10)
    torch.testing.assert_close(weights, expected_weights, rtol=0, atol=1e-10)


def test_multihead_equals_torchs_module() -> None:
    torch.manual_seed(3)
    ours = MultiheadAttention(AttentionSizes(A, A, A, heads=4)).double()
    theirs = nn.MultiheadAttention(A, 4, batch_first=True, dtype=torch.float64)
    queries, values = torch.randn(B, T, A).double(), torch.randn(B, S, A).double()
    layers = (ours.project_query, ours.project_keys, ours.project_values, ours.project_context)
    query, key, value, out = (layer for layer in layers if isinstance(layer, nn.Linear))
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([query.weight, key.weight, value.weight]))
        no_key_bias = torch.zeros(A, dtype=torch.float64)  # it would not change a softmax
        theirs.in_proj_bias.copy_(torch.cat([query.bias, no_key_bias, value.bias]))
        theirs.out_proj.load_state_dict(out.state_dict())
    context, weights = ours(queries, ours.keys(values), values, MASK)
    expected_context, expected_weights = theirs(
        queries, values, values, key_padding_mask=~MASK, average_attn_weights=False
    )
    torch.testing.assert_close(context, expected_context, rtol=0, atol=1e-10)
    torch.testing.assert_close(weights, expected_weights, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_sum_to_one_and_are_exactly_zero_at_padding(kind: str, dtype: torch.dtype) -> None:
    module = attention(kind).to(dtype)  # scores far below any finite stand-in for -inf
    queries, values = (x.to(dtype) for x in inputs())
    _, weights = module(1e5 * queries, module.keys(values), values, MASK)
    assert weights.shape == (B, module.heads, T, S)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert not weights.masked_select(~MASK[:, None, None]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_book_defect_masking_changes_its_input(kind: str) -> None:
    module = attention(kind)
    queries, values = inputs()
    keys = module.keys(values)
    arguments = (queries, keys, values, MASK)
    before = [x.clone() for x in arguments]
    module(*arguments)
    assert all(torch.equal(x, y) for x, y in zip(arguments, before, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_values_at_the_padding_change_nothing(kind: str) -> None:
    module = attention(kind)
    queries, values = inputs()
    garbage = torch.where(MASK[:, :, None], values, 1e6)
    context, _ = module(queries, module.keys(values), values, MASK)
    other, _ = module(queries, module.keys(garbage), garbage, MASK)
    torch.testing.assert_close(context, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_all_positions_at_once_equal_one_at_a_time(kind: str) -> None:
    module = attention(kind)
    queries, values = inputs()
    keys = module.keys(values)
    whole, _ = module(queries, keys, values, MASK)
    steps = [module(queries[:, t : t + 1], keys, values, MASK)[0] for t in range(T)]
    torch.testing.assert_close(whole, torch.cat(steps, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_pass_the_finite_difference_check(kind: str) -> None:
    module = attention(kind)
    queries, values = inputs()

    def context(queries: Tensor, values: Tensor) -> Tensor:
        return module(queries, module.keys(values), values, MASK)[0]

    leaves = (queries[:, :2].clone().requires_grad_(), values.clone().requires_grad_())
    assert torch.autograd.gradcheck(context, leaves)
