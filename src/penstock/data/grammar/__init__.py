"""The built-in English-French corpus: a synchronous grammar that yields correct distinct pairs."""

from penstock.data.grammar.builtin_corpus import Split, builtin_split, generate_pairs, stream_pairs

__all__ = ["Split", "builtin_split", "generate_pairs", "stream_pairs"]
