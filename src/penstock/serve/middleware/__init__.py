"""What stands before every request: limits, keys, headers, counting. All is plain ASGI.

That costs microseconds, and lets a stream pass as it comes.
"""
