"""A traced beam search as a tree of partial hypotheses, with the exact optimum's path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.insight.inspection import Node, NodeState, Tree
from penstock.search import Candidate, Hypothesis
from penstock.special_tokens import BOS_ID, EOS_ID


def make_tree(
    steps: Sequence[Sequence[Candidate]],
    best: Hypothesis,
    optimum: Hypothesis | None,
    vocabulary: Sequence[str],
) -> Tree:
    """Build the tree of one sentence.

    Args:
        steps: the candidates of each step.
        best: the chosen output.
        optimum: the best output that exact search found; None without exact search.
        vocabulary: tokens by id.
    """
    growth = _Growth(vocabulary)
    for candidates in steps:
        growth.add_step(candidates)
    growth.mark_best(best)
    if optimum is not None:
        growth.mark_optimum(optimum)
    return Tree(growth.nodes)


class _Growth:
    """A tree under construction."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._vocabulary = vocabulary
        self.nodes = [Node(0, None, 0, vocabulary[BOS_ID], 0.0, 0.0, None, "kept", exact=False)]
        self._children: dict[tuple[int, int], int] = {}  # by parent and token
        self._rows = {0: 0}  # nodes by row of the next step

    def add_step(self, candidates: Sequence[Candidate]) -> None:
        """Add the candidates of a step."""
        rows: dict[int, int] = {}
        for candidate in candidates:
            state: NodeState = "kept" if candidate.became is not None else "pruned"
            node = self._add(
                self._rows[candidate.row],
                candidate.token,
                candidate.log_probability,
                candidate.total,
                candidate.score,
                state if candidate.score is None else "finished",
            )
            if candidate.became is not None:
                rows[candidate.became] = node
        self._rows = rows

    def mark_best(self, best: Hypothesis) -> None:
        """Mark the end of the chosen output."""
        node = 0
        for token in [*best.tokens, EOS_ID]:
            node = self._children[node, token]
        self.nodes[node] = replace(self.nodes[node], state="best")

    def mark_optimum(self, optimum: Hypothesis) -> None:
        """Mark the path of the optimum, and add the nodes that the beam never saw."""
        node, total = 0, 0.0
        self._mark(node)
        written = zip([*optimum.tokens, EOS_ID], optimum.token_log_probabilities, strict=True)
        for token, log_probability in written:
            total += log_probability
            known = self._children.get((node, token))
            if known is None:
                score = optimum.score if token == EOS_ID else None
                known = self._add(node, token, log_probability, total, score, "unseen")
            node = known
            self._mark(node)

    def _mark(self, node: int) -> None:
        self.nodes[node] = replace(self.nodes[node], exact=True)

    def _add(
        self,
        parent: int,
        token: int,
        log_probability: float,
        total: float,
        score: float | None,
        state: NodeState,
    ) -> int:
        number = len(self.nodes)
        step = self.nodes[parent].step + 1
        shown = self._vocabulary[token]
        self.nodes.append(
            Node(number, parent, step, shown, log_probability, total, score, state, exact=False)
        )
        self._children[parent, token] = number
        return number
