# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch gives `tolist` no type: what comes of it is declared)
"""A pass over a given output: where the decoder looks and what else could stand there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from penstock.insight.inspection import Attention, Choice
from penstock.nn import Seq2Seq
from penstock.search.step import Singles
from penstock.search.top import top_tokens
from penstock.special_tokens import BOS_ID

CHOICES = 8


@torch.no_grad()
def read_output(
    model: Seq2Seq, source: Sequence[int], output: Sequence[int]
) -> tuple[Singles, Tensor | None]:
    """Run the model's own modules over a source and an output.

    Args:
        model: in evaluation mode.
        source: S ids, EOS last.
        output: T ids, EOS last.

    Returns:
        Log-probabilities (T, V), and attention (H, T, S) or None; on the CPU.
    """
    device = model.decoder.output.weight.device
    src = torch.tensor([source], device=device)
    tgt_in = torch.tensor([[BOS_ID, *output[:-1]]], device=device)
    memory, state = model.encode(src, torch.tensor([len(source)]))
    features = model.decoder.features(tgt_in, state, memory)
    logits = model.decoder.output(features.values)[0].float()
    log_probs = torch.log_softmax(logits, -1).cpu().numpy()
    return log_probs, None if features.weights is None else features.weights[0].float().cpu()


def attention_of(weights: Tensor) -> Attention:
    """Attention (H, T, S) as plain numbers of six decimals: more only makes JSON long."""
    exact = weights.double()
    mean = exact.mean(0).round(decimals=6)
    return Attention(exact.round(decimals=6).tolist(), mean.tolist())


def choices_of(
    log_probs: Singles, output: Sequence[int], vocabulary: Sequence[str]
) -> list[list[Choice]]:
    """For each place of an output the likeliest tokens, likeliest first, the taken among them.

    Args:
        log_probs: (T, V), what is never written at -inf.
        output: T ids.
        vocabulary: V tokens as they are shown.
    """
    values, ids = top_tokens(log_probs, min(CHOICES, log_probs.shape[1]))
    found: list[list[Choice]] = []
    for place, taken in enumerate(output):
        own: list[int] = ids[place].tolist()
        numbers: list[float] = values[place].tolist()
        if taken not in own:
            own[-1], numbers[-1] = taken, float(log_probs[place, taken])
        found.append(
            [
                Choice(vocabulary[token], number)
                for token, number in zip(own, numbers, strict=True)
                if number > -math.inf
            ]
        )
    return found
