"""The networks: cells, recurrence, attention, encoder, decoder; tensors only, never text."""

from penstock.nn.classifier import Classifier
from penstock.nn.cloze import Cloze
from penstock.nn.inference import InferenceModel
from penstock.nn.language_model import LanguageModel
from penstock.nn.network import Network, build_network, source_embedding
from penstock.nn.seq2seq import Seq2Seq
from penstock.nn.state import Memory, State

__all__ = [
    "Classifier",
    "Cloze",
    "InferenceModel",
    "LanguageModel",
    "Memory",
    "Network",
    "Seq2Seq",
    "State",
    "build_network",
    "source_embedding",
]
