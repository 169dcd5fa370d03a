"""Measurements that anyone can repeat: speed beside the hardware's limit, and memory."""
