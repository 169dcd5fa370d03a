"""Between text and search: what can be asked for, phrases as ids, parts of lines in batches."""

from penstock.searching.options import Phrases, SearchKind, SearchOptions
from penstock.searching.parts import Part, search_parts

__all__ = ["Part", "Phrases", "SearchKind", "SearchOptions", "search_parts"]
