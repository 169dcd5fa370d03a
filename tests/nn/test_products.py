"""Products by fixed weights: the usual ones, and each row alike in any batch."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from penstock.nn.products import PackedLinear

KINDS = [torch.float32, torch.bfloat16, torch.float64]


def made(kind: torch.dtype, *, bias: bool = True) -> PackedLinear:
    torch.manual_seed(1)
    weight = torch.randn(96, 48, dtype=kind)
    return PackedLinear(weight, torch.randn(96, dtype=kind) if bias else None)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 4, 64, 333])
def test_it_is_the_usual_product(kind: torch.dtype, bias: bool, rows: int) -> None:
    product = made(kind, bias=bias)
    x = torch.randn(rows, 48, dtype=kind)
    wanted = linear(x.double(), product.weight.double())
    wanted = wanted if product.bias is None else wanted + product.bias.double()
    close = {torch.bfloat16: 1e-2, torch.float32: 1e-5, torch.float64: 1e-12}[kind]
    torch.testing.assert_close(product(x).double(), wanted, rtol=close, atol=10 * close)
    other = torch.randn(rows, 96, dtype=kind)
    added = product.plus(x, other).double()
    torch.testing.assert_close(added, wanted + other.double(), rtol=close, atol=10 * close)


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_a_row_is_bit_for_bit_the_same_in_any_multiple_of_four(kind: torch.dtype) -> None:
    product = made(kind)
    x, other = torch.randn(320, 48, dtype=kind), torch.randn(320, 96, dtype=kind)
    whole, added = product(x), product.plus(x, other)
    for rows in range(4, 320, 4):
        assert torch.equal(product(x[:rows]), whole[:rows]), rows
        assert torch.equal(product.plus(x[:rows], other[:rows]), added[:rows]), rows


def test_weights_are_those_of_when_it_was_made() -> None:
    layer = torch.nn.Linear(8, 4)
    product = PackedLinear(layer.weight.clone(), layer.bias.clone())
    x = torch.randn(4, 8)
    before = product(x)
    with torch.no_grad():
        layer.weight.zero_()
    assert torch.equal(product(x), before)
    assert not product(x).requires_grad


def test_it_is_the_usual_product_where_torch_lacks_the_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = made(torch.float32)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    plain = made(torch.float32)
    x, other = torch.randn(8, 48), torch.randn(8, 96)
    assert plain._packed is None
    torch.testing.assert_close(plain(x), usual(x))
    torch.testing.assert_close(plain.plus(x, other), usual.plus(x, other))
