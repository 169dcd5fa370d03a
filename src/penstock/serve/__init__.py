"""The HTTP service: loaded models, one inference worker, and the APIs that clients speak."""
