"""Baselines: n-gram models and hidden Markov models."""
