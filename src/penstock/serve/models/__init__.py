"""The served models: their paths, loading, warm-up and reloading."""
