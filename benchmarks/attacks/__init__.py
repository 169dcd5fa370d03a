"""The attacks of `benchmarks/attack.py`, a module each."""
