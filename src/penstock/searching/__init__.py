"""Between text and search: what can be asked for, phrases as ids, parts of lines in batches."""

from penstock.searching.options import Phrases, SearchKind, SearchOptions
from penstock.searching.parts import Part, limits_of, search_parts

__all__ = ["Part", "Phrases", "SearchKind", "SearchOptions", "limits_of", "search_parts"]
