"""The attentions that `model.attention` may name, without torch.

An attention itself is a class, `ATTENTION` of the module named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import look_up


@dataclass(frozen=True, slots=True)
class AttentionEntry:
    """One line of the table.

    Attributes:
        module: defines `ATTENTION`; imported when a network is built. None: no attention.
        has_heads: whether it divides its width among `attention_heads`.
    """

    module: str | None
    has_heads: bool = False


ATTENTIONS: dict[str, AttentionEntry] = {
    "none": AttentionEntry(None),
    "dot": AttentionEntry("penstock.nn.attention.dot"),
    "general": AttentionEntry("penstock.nn.attention.general"),
    "additive": AttentionEntry("penstock.nn.attention.additive"),
    "multihead": AttentionEntry("penstock.nn.attention.multihead", has_heads=True),
}


def attention_entry(name: str) -> AttentionEntry:
    """Look up an attention by name.

    Raises:
        ValueError: there is no such attention.
    """
    return look_up(ATTENTIONS, "attention", name)
