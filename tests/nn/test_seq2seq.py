"""The whole model by equivalences: step by step, row by row, chunk by chunk; and its loss."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from penstock.config import ModelConfig
from penstock.errors import ConfigError
from penstock.nn import Memory, Seq2Seq, State
from penstock.nn.cells import Cell
from penstock.nn.loss import CHUNK_ROWS, cross_entropy_sum

CELLS = ("rnn", "gru", "lstm")
ATTENTIONS = ("none", "dot", "general", "additive", "multihead")
every_model = pytest.mark.parametrize(
    ("cell", "attention"), [(cell, attention) for cell in CELLS for attention in ATTENTIONS]
)
Batch = dict[str, Any]  # the arguments of `Seq2Seq.loss`, all tensors
B, S, T = 4, 6, 5
SOURCE_SIZE, TARGET_SIZE = 11, 9
PAD, BOS, EOS = 0, 1, 2


def make_model(*, seed: int = 1, **options: Any) -> Seq2Seq:
    """A small random model in float64, without dropout."""
    torch.manual_seed(seed)
    sizes = {"embedding_size": 6, "hidden_size": 8, "dropout": 0.0}
    config = ModelConfig.model_validate({**sizes, **options})
    model = Seq2Seq(config, source_size=SOURCE_SIZE, target_size=TARGET_SIZE)
    with torch.no_grad():  # larger than any initialisation, so that nothing hides near zero
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
    return model.double().eval()


def make_batch(rows: int = B, *, seed: int = 2) -> Batch:
    """Ids with padding on both sides, rows in no order of length."""
    random = torch.Generator().manual_seed(seed)
    src = torch.randint(3, SOURCE_SIZE, (rows, S), generator=random)
    tgt = torch.randint(3, TARGET_SIZE, (rows, T), generator=random)
    src_lengths = torch.randint(1, S + 1, (rows,), generator=random)
    tgt_lengths = torch.randint(1, T + 1, (rows,), generator=random)
    tgt_lengths[0], src_lengths[1] = T, S
    tgt_out = tgt.masked_fill(torch.arange(T) >= tgt_lengths[:, None], PAD)
    tgt_out[torch.arange(rows), tgt_lengths - 1] = EOS
    tgt_in = torch.cat([torch.full((rows, 1), BOS), tgt_out[:, :-1]], 1)
    return {
        "src": src.masked_fill(torch.arange(S) >= src_lengths[:, None], PAD),
        "src_lengths": src_lengths,
        "tgt_in": tgt_in,
        "tgt_out": tgt_out,
        "tgt_lengths": tgt_lengths,
    }


def logits_of(model: Seq2Seq, batch: Batch) -> Tensor:
    return model(batch["src"], batch["src_lengths"], batch["tgt_in"])


def near(x: Tensor, y: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(x, y, rtol=0, atol=tolerance)


# equivalences


@pytest.mark.parametrize("decoder_layers", [1, 3])
@every_model
def test_whole_forward_equals_the_repeated_step(
    cell: str, attention: str, decoder_layers: int
) -> None:
    model = make_model(
        cell=cell, attention=attention, encoder_layers=2, decoder_layers=decoder_layers
    )
    batch = make_batch()
    memory, state = model.encode(batch["src"], batch["src_lengths"])
    whole, end = model.decoder(batch["tgt_in"], state, memory)
    assert whole.shape == (B, T, TARGET_SIZE)
    steps = []
    for t in range(T):
        logits, state = model.decoder(batch["tgt_in"][:, t : t + 1], state, memory)
        steps.append(logits)
    near(torch.cat(steps, 1), whole)
    near(state.h, end.h)
    assert state.h.shape == (decoder_layers, B, 8)
    assert (state.c is not None) == (cell == "lstm")


@every_model
def test_a_padded_row_equals_the_row_alone(cell: str, attention: str) -> None:
    model = make_model(cell=cell, attention=attention, residual=True, encoder_layers=2)
    batch = make_batch()
    together = logits_of(model, batch)
    for row in range(B):
        s, t = int(batch["src_lengths"][row]), int(batch["tgt_lengths"][row])
        alone = model(
            batch["src"][row : row + 1, :s],
            batch["src_lengths"][row : row + 1],
            batch["tgt_in"][row : row + 1, :t],
        )
        near(together[row, :t], alone[0])


@every_model
def test_what_stands_at_the_padding_changes_nothing(cell: str, attention: str) -> None:
    model = make_model(cell=cell, attention=attention)
    batch = make_batch()
    total, count = model.loss(**batch)
    src_padding = torch.arange(S) >= batch["src_lengths"][:, None]
    tgt_padding = torch.arange(T) >= batch["tgt_lengths"][:, None]
    garbage = batch | {
        "src": batch["src"].masked_fill(src_padding, 7),
        "tgt_in": batch["tgt_in"].masked_fill(tgt_padding, 8),
        "tgt_out": batch["tgt_out"].masked_fill(tgt_padding, 5),
    }
    other, other_count = model.loss(**garbage)
    assert count == other_count == int(batch["tgt_lengths"].sum())
    assert torch.equal(total, other)


def test_no_position_sees_a_later_token() -> None:
    model = make_model(attention="general")
    batch = make_batch()
    changed = batch["tgt_in"].clone()
    changed[:, 3:] = 6
    before, after = logits_of(model, batch), logits_of(model, batch | {"tgt_in": changed})
    near(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


# the book's decoder: one context for all steps


@pytest.mark.parametrize("cell", CELLS)
def test_the_book_defect_context_drifts_during_decoding(cell: str) -> None:
    """Without attention each step gets the encoder's final state, whatever the state has become."""
    model = make_model(cell=cell, attention="none", bidirectional=False, encoder_layers=2)
    batch = make_batch()
    memory, state = model.encode(batch["src"], batch["src_lengths"])
    seen: list[Tensor] = []

    def watch(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0][:, 0, -model.decoder.bottom.hidden_size :])

    model.decoder.bottom.register_forward_pre_hook(watch)
    for t in range(T):
        _, state = model.decoder(batch["tgt_in"][:, t : t + 1], state, memory)
    _, final = model.encoder(batch["src"], batch["src_lengths"])
    assert len(seen) == T
    for context in seen:
        assert torch.equal(context, final.h[-1])


def test_the_encoder_ends_at_each_rows_last_token() -> None:
    """The book ignores valid lengths: its final state has read the padding."""
    model = make_model(attention="none", bidirectional=True, encoder_layers=2)
    batch = make_batch()
    values, final = model.encoder(batch["src"], batch["src_lengths"])
    for row, length in enumerate(batch["src_lengths"].tolist()):
        near(final.h[-1, row, :4], values[row, length - 1, :4])  # forward: the last token
        near(final.h[-1, row, 4:], values[row, 0, 4:])  # backward: the first
        assert not values[row, length:].any()


# the loss


def reference_loss(model: Seq2Seq, batch: Batch, smoothing: float) -> Tensor:
    logits = logits_of(model, batch)
    real = torch.arange(T) < batch["tgt_lengths"][:, None]
    return cross_entropy(
        logits[real], batch["tgt_out"][real], reduction="sum", label_smoothing=smoothing
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@every_model
def test_the_loss_and_its_gradient_equal_torchs_over_real_tokens(
    cell: str, attention: str, smoothing: float
) -> None:
    model = make_model(cell=cell, attention=attention)
    batch = make_batch()
    total, count = model.loss(**batch, label_smoothing=smoothing)
    expected = reference_loss(model, batch, smoothing)
    assert count == int(batch["tgt_lengths"].sum())
    torch.testing.assert_close(total.double(), expected, rtol=1e-6, atol=0)
    parameters = dict(model.named_parameters())
    ours = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    theirs = torch.autograd.grad(expected, list(parameters.values()), allow_unused=True)
    for name, our_gradient, their_gradient in zip(parameters, ours, theirs, strict=True):
        assert our_gradient is not None, name
        torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("rows", [1, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS])
def test_chunks_of_the_loss_join_without_a_seam(rows: int, smoothing: float) -> None:
    torch.manual_seed(3)
    features = torch.randn(rows, 7, requires_grad=True)
    weight, bias = torch.randn(13, 7, requires_grad=True), torch.randn(13, requires_grad=True)
    targets = torch.randint(0, 13, (rows,))
    leaves = [features, weight, bias]
    ours = cross_entropy_sum(features, weight, bias, targets, label_smoothing=smoothing)
    exact = cross_entropy(
        features.double() @ weight.double().t() + bias.double(),
        targets,
        reduction="sum",
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)
    # a factor from outside (dividing by the number of tokens) reaches the gradient
    for ours_gradient, exact_gradient in zip(
        torch.autograd.grad(ours / 3, leaves), torch.autograd.grad(exact / 3, leaves), strict=True
    ):
        torch.testing.assert_close(ours_gradient, exact_gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_masked_rows_count_as_rows_left_out(smoothing: float) -> None:
    """A GPU masks, a CPU selects."""
    torch.manual_seed(4)
    rows = CHUNK_ROWS + 9
    features = torch.randn(rows, 7, requires_grad=True)
    weight, bias = torch.randn(13, 7, requires_grad=True), torch.randn(13, requires_grad=True)
    targets, real = torch.randint(0, 13, (rows,)), torch.rand(rows) < 0.7
    leaves = [features, weight, bias]
    masked = cross_entropy_sum(
        features, weight, bias, targets, label_smoothing=smoothing, real=real
    )
    chosen = cross_entropy_sum(
        features[real], weight, bias, targets[real], label_smoothing=smoothing
    )
    torch.testing.assert_close(masked, chosen)
    for ours, expected in zip(
        torch.autograd.grad(masked, leaves), torch.autograd.grad(chosen, leaves), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        quick = cross_entropy_sum(
            features, weight, bias, targets, label_smoothing=smoothing, real=real
        )
    torch.testing.assert_close(quick, chosen)


def test_the_loss_of_no_token_is_zero() -> None:
    weight = torch.randn(13, 7, requires_grad=True)
    nothing = torch.zeros(0, dtype=torch.long)
    total = cross_entropy_sum(torch.randn(0, 7), weight, torch.zeros(13), nothing)
    total.backward()
    assert total.item() == 0
    assert weight.grad is not None
    assert not weight.grad.any()


def test_the_loss_without_gradient_is_the_same_number_for_less_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(5)
    features, weight = torch.randn(20, 7), nn.Parameter(torch.randn(13, 7))
    arguments = (features, weight, torch.zeros(13), torch.randint(0, 13, (20,)))
    with_gradient = cross_entropy_sum(*arguments)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a gradient is being computed")

    monkeypatch.setattr(torch, "mm", refuse)
    with torch.no_grad():
        without = cross_entropy_sum(*arguments)
    torch.testing.assert_close(with_gradient, without)
    assert not without.requires_grad


def test_four_accumulated_batches_of_8_equal_one_of_32() -> None:
    """Sums and counts, divided once: a mean of means would weigh short batches too much."""
    model, batch = make_model(attention="additive"), make_batch(32)
    parameters = list(model.parameters())
    total, count = model.loss(**batch, label_smoothing=0.1)
    large = torch.autograd.grad(total / count, parameters)
    gathered = [torch.zeros_like(p) for p in parameters]
    tokens = 0
    for start in range(0, 32, 8):
        part = {name: rows[start : start + 8] for name, rows in batch.items()}
        total, part_count = model.loss(**part, label_smoothing=0.1)
        for gradient, more in zip(gathered, torch.autograd.grad(total, parameters), strict=True):
            gradient += more
        tokens += part_count
    assert tokens == count
    for whole, gradient in zip(large, gathered, strict=True):
        torch.testing.assert_close(gradient / tokens, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_bf16_autocast_trains_and_its_loss_is_near(attention: str) -> None:
    model, batch = make_model(attention=attention).float(), make_batch()
    exact, count = model.loss(**batch)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = model.loss(**batch)
    assert total.dtype == torch.float32
    assert total.item() / count == pytest.approx(exact.item() / count, abs=0.1)
    gradients = torch.autograd.grad(total, list(model.parameters()))
    assert all(g.dtype == torch.float32 and bool(g.isfinite().all()) for g in gradients)


# the bridge


@pytest.mark.parametrize("layers", [(1, 3), (3, 1), (2, 2)])
@pytest.mark.parametrize("attention", ["none", "general"])
@pytest.mark.parametrize("cell", CELLS)
def test_unequal_depths_meet_in_the_bridge(
    cell: str, attention: str, layers: tuple[int, int]
) -> None:
    encoder_layers, decoder_layers = layers
    model = make_model(
        cell=cell,
        attention=attention,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
    )
    batch = make_batch()
    _, final = model.encoder(batch["src"], batch["src_lengths"])
    _, state = model.encode(batch["src"], batch["src_lengths"])
    assert state.h.shape == (decoder_layers, B, 8)
    assert (state.c is not None) == (cell == "lstm")
    if encoder_layers == decoder_layers:
        assert torch.equal(state.h, final.h)
        assert not list(model.bridge.parameters())
    else:  # each row of all layers, side by side, through one layer
        assert isinstance(model.bridge.h, nn.Linear)
        for row in range(B):
            flat = torch.cat([final.h[layer, row] for layer in range(encoder_layers)])
            expected = torch.tanh(model.bridge.h.weight @ flat + model.bridge.h.bias)
            near(state.h[:, row].flatten(), expected)
    total, _ = model.loss(**batch)
    gradients = torch.autograd.grad(total, list(model.parameters()))
    assert all(bool(g.isfinite().all()) for g in gradients)


# tied embeddings


def test_tied_embeddings_share_storage() -> None:
    tied = {"attention": "general", "readout_size": 6}

    def model(tie: str) -> Seq2Seq:
        config = ModelConfig.model_validate(
            {"embedding_size": 6, "hidden_size": 8, **tied, "tie_embeddings": tie}
        )
        return Seq2Seq(config, source_size=9, target_size=9)

    none, decoder, both = model("none"), model("decoder"), model("all")
    assert none.decoder.output.weight is not none.decoder.embedding.weight
    assert decoder.decoder.output.weight is decoder.decoder.embedding.weight
    assert decoder.encoder.embedding.weight is not decoder.decoder.embedding.weight
    assert both.decoder.output.weight is both.encoder.embedding.weight
    sizes = [sum(p.numel() for p in m.parameters()) for m in (none, decoder, both)]
    assert [sizes[0] - sizes[1], sizes[1] - sizes[2]] == [9 * 6, 9 * 6]


def test_unequal_vocabularies_cannot_share_one_embedding() -> None:
    sizes = {"embedding_size": 6, "hidden_size": 8}
    config = ModelConfig.model_validate({**sizes, "tie_embeddings": "all"})
    with pytest.raises(ConfigError, match=r"tie_embeddings 'all'.*11 and 9.*text\.shared"):
        Seq2Seq(config, source_size=SOURCE_SIZE, target_size=TARGET_SIZE)


# state and memory


@pytest.mark.parametrize("with_cell", [False, True], ids=["gru", "lstm"])
def test_rows_of_state_and_memory_are_chosen_and_repeated(with_cell: bool) -> None:
    h = torch.arange(2 * 3 * 4).view(2, 3, 4)  # (L, B, H)
    state = State(h, h + 100 if with_cell else None)
    chosen = state.select(torch.tensor([2, 0, 2]))
    for place, row in enumerate([2, 0, 2]):
        assert torch.equal(chosen.h[:, place], h[:, row])
    twice = state.repeat(2)
    assert twice.h[0, :, 0].tolist() == [0, 0, 4, 4, 8, 8]
    assert (chosen.c is not None) == (twice.c is not None) == with_cell
    if chosen.c is not None and twice.c is not None:
        assert torch.equal(chosen.c, chosen.h + 100)
        assert torch.equal(twice.c, twice.h + 100)
    again = State.stack([state.layer(0), state.layer(1)])
    assert torch.equal(again.h, state.h)

    memory = Memory(torch.rand(3, 5, 4), torch.rand(3, 5, 2), torch.rand(3, 5) > 0.5, h[0])
    for many in (memory.repeat(2), memory.select(torch.tensor([0, 0, 1, 1, 2, 2]))):
        assert many.keys is not None
        assert memory.keys is not None
        for place, row in enumerate([0, 0, 1, 1, 2, 2]):
            assert torch.equal(many.values[place], memory.values[row])
            assert torch.equal(many.keys[place], memory.keys[row])
            assert torch.equal(many.mask[place], memory.mask[row])
            assert torch.equal(many.context[place], memory.context[row])


# initialisation


INITIALIZATIONS = get_args(ModelConfig.model_fields["initialization"].annotation)


def cells_of(model: nn.Module) -> list[Cell]:
    return [module for module in model.modules() if isinstance(module, Cell)]


def initialized(name: str, **options: Any) -> Seq2Seq:
    torch.manual_seed(4)
    config = ModelConfig.model_validate(
        {"embedding_size": 16, "hidden_size": 32, "initialization": name, **options}
    )
    return Seq2Seq(config, source_size=50, target_size=60)


@pytest.mark.parametrize("name", ["uniform", "orthogonal"])
def test_the_forget_bias_starts_at_one(name: str) -> None:
    """Both biases are added in a cell: their sum is what counts."""
    for cell in cells_of(initialized(name, cell="lstm")):
        i, f, g, o = (cell.bias_ih + cell.bias_hh).chunk(4)
        assert bool((f == 1).all())
        assert not torch.cat([i, g, o]).any()


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_scaled_embeddings_enter_with_unit_variance(name: Any) -> None:
    config = ModelConfig(
        embedding_size=64, hidden_size=8, initialization=name, scale_embeddings=True
    )  # pyright: ignore
    model = Seq2Seq(config, source_size=500, target_size=500)
    entering = model.encoder.embedding(torch.arange(500)[None])
    assert entering.std().item() == pytest.approx(1, abs=0.03)
    # and leave with a spread that keeps first logits moderate when the table is the output too
    assert model.decoder.output.weight.std().item() == pytest.approx(1 / 8, abs=0.01)


def test_uniform_keeps_every_matrix_within_a_tenth() -> None:
    matrices = [p for p in initialized("uniform").parameters() if p.dim() > 1]
    for matrix in matrices:
        assert 0.05 < matrix.abs().max().item() <= 0.1
        assert matrix.mean().abs().item() < 0.03


def test_xavier_is_the_chapters() -> None:
    for parameter in initialized("xavier", cell="gru").parameters():
        if parameter.dim() == 1:
            assert not parameter.any()
        else:
            bound = (6 / sum(parameter.shape)) ** 0.5
            assert 0.7 * bound < parameter.abs().max().item() <= bound


def test_normal_is_the_chapters_from_scratch() -> None:
    """N(0, 0.01²): 0.01 is the standard deviation, as in the chapter's `normal(0, 0.01)`."""
    matrices, biases = [], []
    for parameter in initialized("normal", cell="lstm", hidden_size=64).parameters():
        (matrices if parameter.dim() > 1 else biases).append(parameter.detach().flatten())
    assert not torch.cat(biases).any()
    drawn = torch.cat(matrices) / 0.01
    tolerance = 5 / len(drawn) ** 0.5  # five standard errors of the mean
    assert len(drawn) > 50_000
    assert drawn.mean().item() == pytest.approx(0, abs=tolerance)
    assert drawn.std().item() == pytest.approx(1, abs=tolerance)
    assert (drawn**4).mean().item() == pytest.approx(3, abs=10 * tolerance)  # a normal's kurtosis
    for matrix in matrices:  # none left out
        assert matrix.std().item() == pytest.approx(0.01, rel=5 / len(matrix) ** 0.5)


def test_orthogonal_makes_each_recurrent_gate_a_rotation() -> None:
    for cell in cells_of(initialized("orthogonal")):
        for gate in cell.weight_hh.split(cell.hidden_size):
            near(gate @ gate.t(), torch.eye(cell.hidden_size), 1e-5)


@pytest.mark.parametrize("name", INITIALIZATIONS)
def test_every_initialisation_leaves_layer_norm_neutral(name: str) -> None:
    model = initialized(name, backend="reference", layer_norm=True)
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    assert norms
    for norm in norms:
        assert bool((norm.weight == 1).all())
        assert not norm.bias.any()
