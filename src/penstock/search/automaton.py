"""Required and forbidden phrases as a finite automaton over ids.

A state holds the longest prefix of a phrase that the output ends with (Aho and Corasick 1975,
https://doi.org/10.1145/360825.360855) and which required phrases have occurred. For every state
the fewest tokens that still complete all of them are known, so a search never starts a phrase that
it cannot finish within the length limit.
"""

from __future__ import annotations

from collections import deque

from penstock.errors import UsageError
from penstock.search.limits import Constraints, Phrase

MOST_STATES = 20_000
_OTHER = -1  # any id that no phrase contains

State = tuple[int, int]  # node of the phrases' trie; set of required phrases seen, as bits


class PhraseAutomaton:
    """The phrases of one sentence.

    Args:
        constraints: its phrases.
        possible: whether an id can be emitted at all.
        other: whether there is an id that no phrase contains and that can be emitted.

    Attributes:
        start: the state before the first token.
        need: for each state that can be reached and completed, the fewest tokens still needed.
    """

    def __init__(self, constraints: Constraints, *, possible: frozenset[int], other: bool) -> None:
        self._trie: list[dict[int, int]] = [{}]
        self._seen: list[int] = [0]  # required phrases that end at the node, as bits
        self._bad: list[bool] = [False]
        for number, phrase in enumerate(constraints.required):
            self._seen[self._insert(phrase)] |= 1 << number
        for phrase in constraints.forbidden:
            self._bad[self._insert(phrase)] = True
        self._fall = self._falls()
        self._complete = (1 << len(constraints.required)) - 1
        self.start: State = (0, 0)
        ids = {
            token for phrase in (*constraints.required, *constraints.forbidden) for token in phrase
        }
        self._ids = sorted(ids & possible)
        self._other = other
        self.need = self._needs()

    def after(self, state: State, token: int) -> State | None:
        """The state after one more token; None when that completes a forbidden phrase."""
        node, seen = state
        while node and token not in self._trie[node]:
            node = self._fall[node]
        node = self._trie[node].get(token, 0)
        return None if self._bad[node] else (node, seen | self._seen[node])

    def edges(self, state: State) -> dict[int, int | None]:
        """For each id of a phrase, what is needed after it; None where it is a dead end."""
        return {token: self._needed(self.after(state, token)) for token in self._ids}

    def needed_after_other(self, state: State) -> int | None:
        """What is needed after an id that no phrase contains."""
        return self._needed(self.after(state, _OTHER))

    def _needed(self, state: State | None) -> int | None:
        return None if state is None else self.need.get(state)

    def _insert(self, phrase: Phrase) -> int:
        node = 0
        for token in phrase:
            if token not in self._trie[node]:
                self._trie[node][token] = len(self._trie)
                self._trie.append({})
                self._seen.append(0)
                self._bad.append(False)
            node = self._trie[node][token]
        return node

    def _falls(self) -> list[int]:
        """For each node the longest proper suffix that is a node too; ends pass on with it."""
        falls = [0] * len(self._trie)
        waiting = deque(self._trie[0].values())
        while waiting:
            node = waiting.popleft()
            for token, child in self._trie[node].items():
                fall = falls[node]
                while fall and token not in self._trie[fall]:
                    fall = falls[fall]
                falls[child] = self._trie[fall].get(token, 0)
                waiting.append(child)
            self._seen[node] |= self._seen[falls[node]]
            self._bad[node] |= self._bad[falls[node]]
        return falls

    def _needs(self) -> dict[State, int]:
        """The fewest tokens from each state to completion, by breadth from the complete ones."""
        before: dict[State, list[State]] = {self.start: []}
        waiting = deque([self.start])
        tokens = [*self._ids, *([_OTHER] if self._other else [])]
        while waiting:
            state = waiting.popleft()
            for token in tokens:
                after = self.after(state, token)
                if after is None:
                    continue
                if after not in before:
                    before[after] = []
                    waiting.append(after)
                    if len(before) > MOST_STATES:
                        raise UsageError(
                            "the required phrases are too many to keep track of; give fewer or "
                            "shorter ones"
                        )
                before[after].append(state)
        need = {state: 0 for state in before if state[1] == self._complete}
        waiting = deque(need)
        while waiting:
            state = waiting.popleft()
            for earlier in before[state]:
                if earlier not in need:
                    need[earlier] = need[state] + 1
                    waiting.append(earlier)
        return need
