"""Hidden Markov models by dynamic programming, with which the chapter leads to two directions.

A chain of hidden states h_1 … h_T starts by P(h_1), moves by P(h_t+1 | h_t), and each state gives
an observation by P(x_t | h_t). Two messages run along it, one from each end (d2l.ai, section
'Bidirectional Recurrent Neural Networks', https://d2l.ai/chapter_recurrent-modern/bi-rnn.html):

    π_1(j) = P(h_1 = j)     π_t+1(j) = Σ_i π_t(i) P(x_t | i) P(j | i)
    ρ_T(i) = 1              ρ_t-1(i) = Σ_j P(j | i) P(x_t | j) ρ_t(j)

Everything is made of them: α_t = π_t P(x_t | ·), P(h_t | x) ∝ π_t P(x_t | ·) ρ_t, and without the
middle factor the same given all observations but the t-th.

Letters: B sequences, T positions, K hidden states, V observable ids. Values are logarithms; zero
is -inf, and gives no NaN. Sequences may have different lengths: positions after a sequence's end
are never read, and results there are -inf.
"""

from penstock.baselines.hmm.model import Decoded, Fitted, Forward, HiddenMarkov, Sampled

__all__ = ["Decoded", "Fitted", "Forward", "HiddenMarkov", "Sampled"]
