"""The threads that compute, and the queue before them."""
