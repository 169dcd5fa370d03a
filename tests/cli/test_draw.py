"""The drawn dependencies are those of the real network; the figure and its command."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penstock.cli.app import run
from penstock.config import RunConfig, dump_toml, parse_config
from penstock.errors import MissingExtraError, UsageError
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.seq2seq import Seq2Seq
from penstock.tasks import TASKS
from penstock.tasks.classification.network import Classifier
from penstock.tasks.cloze.network import Cloze
from penstock.tasks.language_model.network import LanguageModel
from penstock.tasks.unrolled_graph import MAX_STEPS, Graph, unroll

STEPS, VOCABULARY, LABELS = 3, 11, 3
Capture = pytest.CaptureFixture[str]


def configure(task: str, **model: Any) -> RunConfig:
    data = {} if task == "translation" else {"data": {"train": "text.txt"}}
    sizes = {"embedding_size": 8, "hidden_size": 8, **model}
    return parse_config({"task": task, **data, "model": sizes})


TRANSLATIONS = [
    configure(
        "translation",
        attention=attention,
        encoder_layers=encoder,
        decoder_layers=decoder,
        bidirectional=bidirectional,
        residual=residual,
        cell=cell,
    )
    for attention, (encoder, decoder), bidirectional, residual, cell in itertools.product(
        ("none", "general"),
        ((1, 1), (2, 2), (2, 1), (1, 3)),
        (False, True),
        (False, True),
        ("gru",),
    )
] + [configure("translation", attention="additive", decoder_layers=2)]
OTHERS = [
    configure("language-model", num_layers=layers, residual=residual)
    for layers in (1, 3)
    for residual in (False, True)
] + [
    *(configure("cloze", num_layers=layers, residual=layers == 2) for layers in (1, 2)),
    *(
        configure("classification", num_layers=2, bidirectional=both, pooling=pooling)
        for both in (False, True)
        for pooling in ("final", "mean", "max")
    ),
]


def name_of(config: RunConfig) -> str:
    return unroll(config, STEPS).title.replace(" ", "-")


def jacobian(config: RunConfig) -> set[tuple[str, str]]:
    """(input, output) of every pair of which the real network's gradient is not zero."""
    torch.manual_seed(1)
    network: Any = (
        TASKS[config.task]
        .learning()
        .network(config, source_size=VOCABULARY, target_size=VOCABULARY)
    )
    network.double().eval()
    read: list[Tensor] = []

    def record(module: nn.Module, arguments: Any, embedded: Tensor) -> Tensor:
        read.append(embedded.detach().requires_grad_())
        return read[-1]

    for module in network.modules():
        if isinstance(module, TokenEmbedding):
            module.register_forward_hook(record)
    ids, lengths = torch.randint(4, VOCABULARY, (1, STEPS)), torch.tensor([STEPS])
    if isinstance(network, Seq2Seq):
        logits, names = network(ids, lengths, ids), ("input", "target")
    elif isinstance(network, LanguageModel):
        logits, names = network(ids)[0], ("input",)
    elif isinstance(network, Cloze):
        with_end = torch.cat([ids, torch.tensor([[2]])], 1)
        logits, names = network(with_end, lengths + 1)[:, :-1], ("input",)
    else:
        assert isinstance(network, Classifier)
        logits, names = network(ids, lengths)[:, None], ("input",)
    found: set[tuple[str, str]] = set()
    for step in range(logits.shape[1]):
        total = (logits[0, step] * torch.randn_like(logits[0, step])).sum()
        gradients = torch.autograd.grad(total, read, retain_graph=True, allow_unused=True)
        for name, gradient in zip(names, gradients, strict=True):
            reached = [] if gradient is None else gradient[0].any(-1).nonzero().flatten().tolist()
            found |= {(f"{name}.{place + 1}", f"output.{step + 1}") for place in reached}
    return found


def paths(graph: Graph) -> set[tuple[str, str]]:
    """(input, output) of every pair that a path of arrows joins."""
    inputs = [name for name, node in graph.nodes.items() if node.kind == "input"]
    return {
        (source, name)
        for source in inputs
        for name in graph.reaches(source)
        if graph.nodes[name].kind == "output"
    }


@pytest.mark.parametrize("config", [*TRANSLATIONS, *OTHERS], ids=name_of)
def test_arrows_lead_where_the_gradient_flows_and_nowhere_else(config: RunConfig) -> None:
    assert paths(unroll(config, STEPS)) == jacobian(config)


@pytest.mark.parametrize("task", ["translation", "classification"])
def test_a_transformer_lets_every_token_reach_every_output(task: str) -> None:
    """It reads both sides itself, so the direction of the stack above it limits nothing."""
    config = configure(task)
    model = config.model.model_copy(update={"transformer": "folder", "bidirectional": False})
    graph = unroll(config.model_copy(update={"model": model}), STEPS)
    outputs = {name for name, node in graph.nodes.items() if node.kind == "output"}
    for step in range(1, STEPS + 1):
        assert outputs <= graph.reaches(f"input.{step}")
    first = {edge.target for edge in graph.edges if edge.source == "transformer"}
    name = "encoder" if task == "translation" else "stack"
    assert first == {f"{name}.forward.1.{step}" for step in range(1, STEPS + 1)}


def test_an_answer_of_the_cloze_is_never_seen() -> None:
    graph = unroll(configure("cloze", num_layers=2), 4)
    for step in range(1, 5):
        # the inputs begin with bos: the token of output 1 is input 2
        assert f"output.{step}" not in graph.reaches(f"input.{step + 1}")


@pytest.mark.parametrize("config", [*TRANSLATIONS, *OTHERS], ids=name_of)
@pytest.mark.parametrize("steps", [2, 5])
def test_each_layer_has_a_state_a_step_and_no_two_nodes_share_a_place(
    config: RunConfig, steps: int
) -> None:
    graph, model = unroll(config, steps), config.model
    states = [node for node in graph.nodes.values() if node.kind in ("forward", "backward")]
    directions = 2 if model.bidirectional else 1
    if config.task == "translation":
        expected = steps * (directions * model.encoder_layers + model.decoder_layers)
    else:
        ends = 2 if config.task == "cloze" else 0  # bos and eos are read too
        expected = (steps + ends) * directions * model.num_layers
    assert len(states) == expected
    nodes = [node for node in graph.nodes.values() if node.kind != "memory"]
    for one, other in itertools.combinations(nodes, 2):
        assert (one.x - other.x) ** 2 + (one.y - other.y) ** 2 > 0.54**2, (one, other)
    for edge in graph.edges:
        assert edge.source in graph.nodes
        assert edge.target in graph.nodes


def test_a_residual_leads_past_a_layer_where_widths_agree() -> None:
    def past(**model: Any) -> int:
        graph = unroll(configure("language-model", num_layers=2, **model), 4)
        return sum(edge.flow == "residual" for edge in graph.edges)

    assert past(residual=False) == 0
    assert past(residual=True) == 2 * 4
    assert past(residual=True, embedding_size=4, readout_size=4) == 4  # 4 into 8: not the first


@pytest.mark.parametrize("steps", [-1, 1, MAX_STEPS + 1])
def test_steps_that_cannot_be_drawn_are_refused(steps: int) -> None:
    with pytest.raises(UsageError, match=f"^{steps} steps: a figure has 2 to {MAX_STEPS}$"):
        unroll(configure("translation"), steps)


# the figure


def test_the_same_configuration_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from penstock.insight.unrolled_figure import draw_dependencies

    graph = unroll(configure("translation", encoder_layers=2, decoder_layers=3), 3)
    one, other, picture = (tmp_path / name for name in ("one.svg", "other.svg", "one.png"))
    for path in (one, other, picture):
        draw_dependencies(graph, path)
    assert one.read_bytes() == other.read_bytes()
    text = one.read_text(encoding="utf-8")
    for said in ("encoder", "decoder", "memory", "tanh", graph.title, "to the next step"):
        assert f">{said}<" in text
    assert len(text) < 100_000
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "one.svg", "other.svg"]


@pytest.mark.parametrize("config", [*TRANSLATIONS[-3:], *OTHERS], ids=name_of)
def test_every_task_can_be_drawn(config: RunConfig, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from penstock.insight.unrolled_figure import draw_dependencies

    draw_dependencies(unroll(config, 2), tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 5_000


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.insight.unrolled_figure import draw_dependencies

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penstock\[plot\]'"):
        draw_dependencies(unroll(configure("cloze"), 2), tmp_path / "figure.svg")


# the command


def test_a_configuration_and_a_run_are_drawn_alike(tmp_path: Path, capfd: Capture) -> None:
    pytest.importorskip("matplotlib")
    config = configure("translation", residual=True)
    (tmp_path / "config.toml").write_text(dump_toml(config), encoding="utf-8")
    figures = []
    for source in (tmp_path, tmp_path / "config.toml"):
        out = tmp_path / "figure.svg"
        assert run(["draw", str(source), "--out", str(out), "--steps", "3"]) == 0
        assert capfd.readouterr().out == f"{out}\n"
        figures.append(out.read_bytes())
    assert figures[0] == figures[1]
    changed = ["--set", "model.decoder_layers=3"]
    assert run(["draw", str(tmp_path), "--out", str(out), "--steps", "3", *changed]) == 0
    assert b"decoder of 3 layers" in out.read_bytes()


def test_a_run_and_its_bundle_are_drawn_alike(tiny_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures = []
    for source in (tiny_run, tiny_run / "model"):
        out = tmp_path / "new" / "figure.svg"
        assert run(["draw", str(source), "--out", str(out), "--set", "model.decoder_layers=2"]) == 0
        figures.append(out.read_bytes())
    assert figures[0] == figures[1]
    assert b"decoder of 2 layers" in figures[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((".", "--out", "x.svg"), r"\.: no config.toml; give a configuration or the run directory"),
        (("missing.toml", "--out", "x.svg"), "missing.toml: no such file; check the path"),
        (("lm.toml", "--out", "x.doc"), "x.doc: a figure ends in .svg"),
        (("lm.toml", "--out", "x.svg", "--steps", "99"), "99 steps: a figure has 2 to 12"),
        (("lm.toml", "--out", "x.svg", "--set", "model.lairs=2"), "unknown key 'lairs'"),
    ],
)
def test_bad_input_gets_a_message(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lm.toml").write_text('task = "cloze"\n[data]\ntrain = "a.txt"\n', encoding="utf-8")
    assert run(["draw", *arguments]) != 0
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert re.search(message, said)
    assert [path.name for path in tmp_path.iterdir()] == ["lm.toml"]
