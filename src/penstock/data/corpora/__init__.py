"""Corpora to download: catalogue, verified downloads, archives."""
