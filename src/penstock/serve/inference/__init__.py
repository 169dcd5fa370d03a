"""The inference threads and their queue."""
