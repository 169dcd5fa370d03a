"""Reproducible measurements: speed compared with the hardware's limit, and memory."""
