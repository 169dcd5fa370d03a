"""CONTRIBUTING's recipe for a cell, followed from outside the package: one value and one line.

Two cells of different shape: the minimal gated unit (Zhou et al. 2016,
https://arxiv.org/abs/1603.09420), and the quasi-recurrent network of window 1 (Bradbury et al.
2017, https://arxiv.org/abs/1611.01576), a scan: it has no recurrent weights and carries c alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import penstock as ps
from conftest import english_lines
from penstock.config import CELLS, CellEntry
from penstock.nn.cells import Cell, CellSpec, Scan, V
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State
from penstock.nn.torch_weights import to_torch
from penstock.runtime.packed_layers import PackedStep, packed_layers


def mgu(x: V, h: V, c: None, from_state: Callable[[V], V]) -> dict[str, V]:
    x_f, x_n = x.chunk(2, -1)
    f = (x_f + from_state(h).chunk(2, -1)[0]).sigmoid()  # forget gate
    n = (x_n + from_state(f * h).chunk(2, -1)[1]).tanh()  # candidate
    h = (1 - f) * h + f * n
    return {"forget": f, "candidate": n, "hidden": h}


def qrnn(x: V, h: V, c: V, from_state: Callable[[V], V]) -> dict[str, V]:
    z, f, o = x.chunk(3, -1)
    z, f, o = z.tanh(), f.sigmoid(), o.sigmoid()
    c = f * c + (1 - f) * z
    return {"forget": f, "output": o, "candidate": z, "cell": c, "hidden": o * c}


def qrnn_terms(products: Tensor) -> tuple[Tensor, ...]:
    z, f, o = products.chunk(3, -1)
    return f, z.tanh(), o.sigmoid()


MGU = CellSpec(name="mgu", equations=mgu, blocks=2, gates={"forget": 0})
SCAN = Scan(qrnn_terms, torch.mul)
QRNN = CellSpec(
    name="qrnn",
    equations=qrnn,
    blocks=3,
    gates={"forget": 1, "output": 2},
    carries=("c",),
    recurrent_weights=False,
    fused=SCAN.fused,
    packed=SCAN.packed,
)
ENTRIES = {
    "mgu": CellEntry("mgu_cell", without={"fused": "nobody has written its gradient"}),
    "qrnn": CellEntry("qrnn_cell", without={"weight_dropout": "it has no recurrent weights"}),
}
LENGTHS = torch.tensor([3, 6, 1, 4])


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that defines `CELL`, and a line in the table, for each."""
    for spec in (MGU, QRNN):
        module = ModuleType(ENTRIES[spec.name].module)
        module.CELL = spec  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(CELLS, spec.name, ENTRIES[spec.name])


def backend(cell: str) -> Any:
    return "reference" if "fused" in ENTRIES[cell].without else "fused"


def config(cell: str, data: Path, **more: Any) -> ps.RunConfig:
    written: Any = ps.RunConfig
    return written(
        threads=1,
        device="cpu",
        data={"train": str(data)},
        text={"source": {"kind": "word", "min_frequency": 1}},
        model={"cell": cell, "backend": backend(cell), "embedding_size": 8, "hidden_size": 8},
        training={"max_updates": 4, "evaluate_every": 2, "metric": "loss"},
        **more,
    )


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    from penstock.data.grammar import generate_pairs

    path = tmp_path / "pairs.tsv"
    rows = "".join(f"{pair.source}\t{pair.target}\n" for pair in generate_pairs(120))
    path.write_text(rows, encoding="utf-8")
    return path


@pytest.mark.parametrize("cell", ENTRIES)
def test_it_trains_evaluates_saves_loads_translates_and_shows_its_gates(
    cell: str, pairs: Path, tmp_path: Path
) -> None:
    from penstock.insight import inspect_sentence

    assert ps.train(config(cell, pairs), tmp_path / "run").scores
    translator = ps.load(tmp_path / "run")
    assert translator.bundle.config.model.cell == cell
    again = ps.load(tmp_path / "run").translate(["She sees him ."])
    (translated,) = translator.translate(["She sees him ."])
    assert translated.text == again[0].text
    assert ps.evaluate(translator, [("She sees him .", "Elle le voit .")]).examples == 1
    gates = inspect_sentence(translator, "She sees him .").gates
    assert {layer.cell for layer in gates} == {cell}
    for layer in gates:
        assert {"forget", "candidate", "hidden"} <= layer.values.keys()
        assert all(0 < mean < 1 for mean in layer.values["forget"].mean)


@pytest.mark.parametrize("cell", ENTRIES)
def test_a_language_model_of_it_writes(cell: str, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"{line}\n" for line in english_lines(200)), encoding="utf-8")
    ps.train(config(cell, lines, task="language-model"), tmp_path / "run")
    generator = ps.load(tmp_path / "run")
    assert "".join(generator.generate("She")).split()
    assert ps.evaluate(generator, ["She sees him ."]).examples == 1


@pytest.mark.parametrize("cell", ENTRIES)
def test_padding_and_company_change_nothing(cell: str) -> None:
    torch.manual_seed(1)
    network = Recurrent(5, 4, cell=cell, num_layers=2, bidirectional=True, backend=backend(cell))
    network = network.double()
    x = torch.randn(4, 6, 5, dtype=torch.float64)
    outputs, final = network(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone, last = network(x[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :length], alone[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(final.h[:, row], last.h[:, 0], rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: network(x, LENGTHS)[0], (x.requires_grad_(),))


def test_the_packed_step_equals_the_equations() -> None:
    torch.manual_seed(2)
    network = Recurrent(5, 4, cell="qrnn", bidirectional=True, backend="reference")
    x = torch.randn(4, 6, 5)
    outputs, final = network(x)
    (layer,) = packed_layers(network, torch.float32) or []
    turned = torch.arange(5, -1, -1)[:, None].expand(6, 4)
    fast, states = layer(x.transpose(0, 1).contiguous(), [4] * 6, turned)
    torch.testing.assert_close(fast.transpose(0, 1), outputs, rtol=0, atol=1e-5)
    for index, state in enumerate(states):
        torch.testing.assert_close(state.c, final.layer(index).c, rtol=0, atol=1e-5)
    cell = Cell("qrnn", 5, 4)
    before = State(torch.zeros(1, 4, 4), torch.randn(1, 4, 4))
    after, expected = PackedStep(cell, torch.float32)([x[:, 0]], before), cell(x[:, 0], before)
    torch.testing.assert_close(after.h, expected.h, rtol=0, atol=1e-5)
    torch.testing.assert_close(after.c, expected.c, rtol=0, atol=1e-5)


def test_what_it_does_not_have_is_rejected_with_the_reason(pairs: Path) -> None:
    written: Any = ps.RunConfig
    base: dict[str, Any] = {"cell": "qrnn", "backend": "reference"}
    options: tuple[tuple[dict[str, Any], str], ...] = (
        (
            {"cell": "mgu", "backend": "fused"},
            "cell 'mgu' has no fused backend: nobody has written its gradient",
        ),
        ({"weight_dropout": 0.2}, "cell 'qrnn' takes no weight_dropout: it has no recurrent"),
        ({"gru_form": "before"}, "gru_form 'before' is an option of cell 'gru', found cell 'qrnn'"),
    )
    for option, message in options:
        with pytest.raises(ps.ConfigError, match=message):
            written(model=base | option)
        with pytest.raises(ValueError, match=message):
            Recurrent(5, 4, **(base | option))
    with pytest.raises(ValueError, match="cell 'mgu': torch has no such module"):
        to_torch(Recurrent(5, 4, cell="mgu", backend="reference"))


def test_an_unknown_cell_is_an_error_everywhere() -> None:
    for build in (
        lambda: Cell("lstn", 5, 4),
        lambda: Recurrent(5, 4, cell="lstn"),
        lambda: ps.RunConfig(model={"cell": "lstn"}),  # type: ignore[arg-type]
    ):
        with pytest.raises((ValueError, ps.ConfigError), match="unknown cell 'lstn'; did you mean"):
            build()


def test_a_comparison_with_torch_needs_a_cell_of_torchs() -> None:
    from penstock.bench.recurrence import measure_recurrence

    with pytest.raises(ps.UsageError, match="cell 'mgu': torch has no such module to compare"):
        measure_recurrence("mgu", 4, 4, 2, 2)
    with pytest.raises(ps.UsageError, match="unknown cell 'gruu'; did you mean 'gru'"):
        measure_recurrence("gruu", 4, 4, 2, 2)
