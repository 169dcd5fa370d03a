"""The beam's tree against a plain re-enactment of beam search, and the optimum's path in it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.insight.beam_tree import make_tree
from penstock.insight.inspection import Node, Tree
from penstock.insight.tree_layout import place_nodes
from penstock.search import (
    Constraints,
    Limits,
    Ranking,
    SearchTrace,
    beam_search,
    exact_search,
)
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from table_model import Table, make_table, normalized

V, K = 8, 3
BLOCKED = (PAD_ID, UNK_ID, BOS_ID)
VOCABULARY = [f"t{i}" for i in range(V)]
Path = tuple[int, ...]


def limits_of(*max_lengths: int, prefix: Path = ()) -> Limits:
    constraints = [Constraints(prefix=prefix)] * len(max_lengths) if prefix else []
    return Limits(BOS_ID, EOS_ID, BLOCKED, max_lengths, constraints=constraints)


def reenact(
    table: Table, beam_size: int, max_length: int, alpha: float, prefix: Path
) -> dict[Path, tuple[str, float]]:
    """Beam search written out: what became of every beginning compared, and its total."""
    found: dict[Path, tuple[str, float]] = {}
    alive: list[tuple[float, Path]] = [(0.0, ())]
    places, best = beam_size, -math.inf
    while alive:
        candidates: list[tuple[float, Path]] = []
        for total, path in alive:
            before, last = ([0, BOS_ID] + [BOS_ID] * bool(path) + list(path))[-2:]
            before = before if path else 0
            log_probs = normalized(table[before, last]).tolist()
            possible = [t for t in range(V) if t not in BLOCKED]
            if len(path) < len(prefix):
                possible = [prefix[len(path)]]
            if len(path) == max_length:
                possible = [EOS_ID]
            likeliest = sorted(possible, key=lambda t: -log_probs[t])[:beam_size]
            candidates += [(total + log_probs[t], (*path, t)) for t in likeliest]
        candidates.sort(reverse=True)
        alive = []
        for rank, (total, path) in enumerate(candidates):
            state = "pruned" if rank >= places else "finished" if path[-1] == EOS_ID else "kept"
            found[path] = (state, total)
            if state == "kept":
                alive.append((total, path))
        ended = [(t, p) for t, p in candidates if found[p][0] == "finished"]
        places -= len(ended)
        best = max([best, *(total / len(path) ** alpha for total, path in ended)])
        if alive and best >= max(total for total, _ in alive) / (max_length + 1) ** alpha:
            for total, path in alive:
                found[path] = ("pruned", total)
            alive = []
    return found


def traced(
    seed: int, beam_size: int, max_length: int, alpha: float, *, prefix: Path = (), exact: bool
) -> tuple[Tree, Table, float, float | None]:
    """The tree of a random table, the table, the best score, and the optimum's."""
    step, state, table = make_table(sentences=1, vocab_size=V, seed=seed)
    limits, ranking = limits_of(max_length, prefix=prefix), Ranking(alpha=alpha)
    trace = SearchTrace()
    ((best,),) = beam_search(step, state, limits, beam_size=beam_size, ranking=ranking, trace=trace)
    optimum = None
    if exact:
        ((optimum,),) = exact_search(step, state, limits, ranking=ranking, beam_size=beam_size)
        assert optimum.certified
    tree = make_tree(trace.steps, best, optimum, VOCABULARY)
    return tree, table[0], best.score, None if optimum is None else optimum.score


def paths_of(tree: Tree) -> dict[Path, Node]:
    paths: dict[int, Path] = {}
    for node in tree.nodes:
        token = int(node.token[1:])
        paths[node.id] = () if node.parent is None else (*paths[node.parent], token)
        assert len(paths[node.id]) == node.step
    assert len({*paths.values()}) == len(paths), "a beginning stands in the tree twice"
    return {path: tree.nodes[number] for number, path in paths.items()}


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    beam_size=st.integers(1, 5),
    max_length=st.integers(0, 7),
    alpha=st.sampled_from([0.0, 0.6, 1.0]),
    prefix=st.lists(st.integers(EOS_ID + 1, V - 1), max_size=2),
)
def test_the_tree_is_what_beam_search_compared(
    seed: int, beam_size: int, max_length: int, alpha: float, prefix: list[int]
) -> None:
    forced = tuple(prefix[:max_length])
    tree, table, score, _ = traced(seed, beam_size, max_length, alpha, prefix=forced, exact=False)
    paths = paths_of(tree)
    expected = reenact(table, beam_size, max_length, alpha, forced)
    assert paths.pop(()).parent is None
    assert paths.keys() == expected.keys()
    ended: list[Node] = []
    for path, (state, total) in expected.items():
        node = paths[path]
        assert node.total == pytest.approx(total, abs=1e-4)
        assert node.state == ("finished" if node.state == "best" else node.state) == state or (
            node.state == "best" and state == "finished"
        )
        assert (node.score is not None) == (state == "finished")
        if node.score is not None:
            ended.append(node)
            assert node.score == pytest.approx(total / len(path) ** alpha, abs=1e-4)
    (best,) = [node for node in tree.nodes if node.state == "best"]
    assert best.score == score == max(node.score or -math.inf for node in ended)
    assert not any(node.exact for node in tree.nodes)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), beam_size=st.integers(1, 3))
def test_totals_are_sums_along_the_paths(seed: int, beam_size: int) -> None:
    nodes = traced(seed, beam_size, 6, 1.0, exact=True)[0].nodes
    assert [node.id for node in nodes] == list(range(len(nodes)))
    for node in nodes[1:]:
        assert node.parent is not None
        assert node.parent < node.id
        parent = nodes[node.parent]
        assert node.total == pytest.approx(parent.total + node.log_probability, abs=1e-9)
        assert node.step == parent.step + 1
        assert parent.state in ("kept", "unseen") or node.state == "unseen"


def test_the_optimums_path_is_marked_and_what_the_beam_missed_is_added() -> None:
    missed = 0
    for seed in range(60):
        tree, table, score, optimal = traced(seed, 1, 5, 1.0, exact=True)
        assert optimal is not None
        seen = reenact(table, 1, 5, 1.0, ())
        paths = paths_of(tree)
        marked = sorted((path for path, node in paths.items() if node.exact), key=len)
        assert [len(path) for path in marked] == list(range(len(marked)))
        assert all(b[: len(a)] == a for a, b in itertools.pairwise(marked))
        assert marked[-1][-1] == EOS_ID
        unseen = {path for path, node in paths.items() if node.state == "unseen"}
        assert unseen == {path for path in marked if path and path not in seen}
        if unseen:
            end = paths[marked[-1]]
            assert end.score is None or end.score == pytest.approx(optimal, abs=1e-6)
        if optimal == score:
            assert paths[marked[-1]].state == "best"
            assert not unseen
        else:
            assert optimal > score
            missed += bool(unseen)
    assert missed >= 5, "greedy search missed nothing: nothing is tested"


def test_a_traced_search_finds_the_same_and_sentences_are_told_apart() -> None:
    step, state, _ = make_table(sentences=3, vocab_size=V, seed=5)
    seen = SearchTrace()
    options = {"beam_size": K, "n_best": K, "align": True}
    plain = beam_search(step, state, limits_of(4, 6, 2), **options)  # pyright: ignore[reportArgumentType]
    found = beam_search(step, state, limits_of(4, 6, 2), **options, trace=seen)  # pyright: ignore[reportArgumentType]
    assert [[h.tokens for h in own] for own in found] == [[h.tokens for h in own] for own in plain]
    for sentence, length in enumerate((4, 6, 2)):
        alone = SearchTrace()
        rows = state.select(np.array([sentence]))
        beam_search(step, rows, limits_of(length), beam_size=K, n_best=K, trace=alone)
        own = [[c for c in each if c.sentence == sentence] for each in seen.steps]
        told = [sorted((c.token, round(c.total, 4), c.score) for c in each) for each in own if each]
        assert told == [
            sorted((c.token, round(c.total, 4), c.score) for c in each) for each in alone.steps
        ]


def test_the_places_of_the_figure() -> None:
    nodes = traced(3, 3, 6, 1.0, exact=True)[0].nodes
    places = place_nodes(nodes)
    children: dict[int, list[Node]] = {}
    for node in nodes:
        if node.state != "pruned" or node.exact:
            assert node.id in places
        if node.id in places and node.parent is not None:
            children.setdefault(node.parent, []).append(node)
    leaves = [row for number, row in places.items() if number not in children]
    assert sorted(leaves) == list(range(len(leaves)))
    for parent, own in children.items():
        likeliest = max(own, key=lambda node: node.log_probability)
        assert places[parent] == places[likeliest.id]
        assert sum(node.state == "pruned" and not node.exact for node in own) <= 2
    assert places[0] == 0
