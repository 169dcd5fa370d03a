"""Fill a blank and tag words with a hidden Markov model (d2l.ai, 'Bidirectional Recurrent Neural
Networks').

The hidden states are parts of speech, the observations words. Counts from a few tagged sentences
are the whole training. What stands in a blank depends on both sides: one message runs from the
left, one from the right, and the state between them is known best.

    python examples/hidden_markov.py
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import torch
from torch import Tensor

from penstock.baselines.hmm import HiddenMarkov

TAGGED = """
I/pronoun am/verb happy/adjective ./end
I/pronoun am/verb hungry/adjective ./end
she/pronoun is/verb tired/adjective ./end
you/pronoun are/verb happy/adjective ./end
I/pronoun am/verb not/adverb hungry/adjective ./end
I/pronoun am/verb very/adverb hungry/adjective ./end
she/pronoun is/verb very/adverb happy/adjective ./end
they/pronoun are/verb not/adverb tired/adjective ./end
the/article fish/noun is/verb very/adverb light/adjective ./end
the/article light/noun is/verb red/adjective ./end
a/article can/noun is/verb not/adverb light/adjective ./end
I/pronoun can/auxiliary eat/verb a/article fish/noun ./end
they/pronoun can/auxiliary not/adverb fish/verb ./end
you/pronoun can/auxiliary light/verb a/article fire/noun ./end
she/pronoun can/auxiliary watch/verb the/article fire/noun ./end
we/pronoun watch/verb the/article red/adjective light/noun ./end
they/pronoun fish/verb ./end
we/pronoun eat/verb the/article red/adjective fish/noun ./end
the/article watch/noun is/verb red/adjective ./end
I/pronoun am/verb hungry/adjective and/conjunction I/pronoun can/auxiliary eat/verb ./end
the/article fire/noun is/verb light/adjective and/conjunction they/pronoun watch/verb ./end
"""
BLANK = "___"
SMOOTHING = 0.1  # added to every count: what was never seen is rare, not impossible


def estimate(sentences: list[list[tuple[str, str]]]) -> tuple[HiddenMarkov, list[str], list[str]]:
    """The model by counting, with the names of its states and of its observations."""
    words = sorted({word for sentence in sentences for word, _ in sentence})
    tags = sorted({tag for sentence in sentences for _, tag in sentence})
    initial = torch.full((len(tags),), SMOOTHING)
    transition = torch.full((len(tags), len(tags)), SMOOTHING)
    emission = torch.full((len(tags), len(words)), SMOOTHING / 10)
    for sentence in sentences:
        states = [tags.index(tag) for _, tag in sentence]
        initial[states[0]] += 1
        for state, following in pairwise(states):
            transition[state, following] += 1
        for state, (word, _) in zip(states, sentence, strict=True):
            emission[state, words.index(word)] += 1
    rows = [counts / counts.sum(-1, keepdim=True) for counts in (initial, transition, emission)]
    return HiddenMarkov(*rows), tags, words


def best(log_probs: Tensor, names: list[str], count: int = 3) -> str:
    """The likeliest names with their probabilities; of equal ones the first by the alphabet."""
    pairs = zip(names, log_probs.exp().tolist(), strict=True)
    ranked = sorted(pairs, key=lambda pair: (-round(pair[1], 3), pair[0]))
    return "  ".join(f"{name} {probability:.2f}" for name, probability in ranked[:count])


def fill(model: HiddenMarkov, words: list[str], text: str) -> None:
    """P(x_j | all others) of the blank, and the same with nothing known to its right."""
    tokens = text.split()
    blank = tokens.index(BLANK)
    ids = torch.tensor([[0 if token == BLANK else words.index(token) for token in tokens]])
    scores = model.log_likelihoods(ids)  # what stands at the blank does not count
    both = model.log_observation_given_others(scores)[0, blank]
    left = model.log_observation_given_others(scores[:, : blank + 1])[0, blank]
    print(
        f"{text}\n    left and right  {best(both, words)}\n    left alone      {best(left, words)}"
    )


def tag(model: HiddenMarkov, tags: list[str], words: list[str], text: str) -> None:
    """The likeliest tags together (Viterbi), and each word's own tag given the sentence."""
    tokens = text.split()
    scores = model.log_likelihoods(torch.tensor([[words.index(token) for token in tokens]]))
    path, log_prob = model.viterbi(scores)
    posterior = model.log_posterior(scores)[0]
    print(f"{text}\n    log P(words, tags) {log_prob.item():.2f}")
    for token, state, row in zip(tokens, path[0].tolist(), posterior, strict=True):
        print(f"    {token:<7} {tags[state]:<12} {best(row, tags, 2)}")


def main() -> None:
    """Count, fill blanks, tag."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true", help="for tests; it is short anyway")
    parser.parse_args()

    lines = [line.split() for line in TAGGED.strip().split("\n")]
    sentences = [[(word, tag) for word, _, tag in (x.partition("/") for x in s)] for s in lines]
    model, tags, words = estimate(sentences)
    print(f"{len(sentences)} sentences, {len(tags)} tags, {len(words)} words\n")

    print("P(word in the blank | the other words)")
    for text in (
        "I am ___ .",
        "I am ___ hungry .",
        "I am ___ hungry and I can eat the fish .",
        "the ___ light is red .",
    ):
        fill(model, words, text)

    print("\nthe likeliest tags together, and P(tag | all words) of each word")
    for text in ("they can fish .", "I light the light fire .", "the can can light ."):
        tag(model, tags, words, text)


if __name__ == "__main__":
    main()
