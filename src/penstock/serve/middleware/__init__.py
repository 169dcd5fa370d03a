"""Middleware: limits, keys, headers, request log. Plain ASGI, which is fast and passes streams."""
