"""Attention, one file each; keys are projected once per sentence.

`penstock.config.ATTENTIONS` is the table of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from penstock.config import attention_entry
from penstock.nn.attention.attention import Attention, AttentionSizes

__all__ = ["Attention", "AttentionSizes", "make_attention"]


def make_attention(name: str, sizes: AttentionSizes) -> Attention | None:
    """Build an attention by name; None for `none`.

    Raises:
        ValueError: there is no such attention.
    """
    module = attention_entry(name).module
    if module is None:
        return None
    attention: Callable[[AttentionSizes], Attention] = import_module(module).ATTENTION
    return attention(sizes)
