"""The networks: cells, recurrence, attention, encoder, decoder; tensors only, never text."""

from penstock.nn.seq2seq import Seq2Seq
from penstock.nn.state import Memory, State

__all__ = ["Memory", "Seq2Seq", "State"]
