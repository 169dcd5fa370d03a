"""The thread that computes, and the queue before it."""
