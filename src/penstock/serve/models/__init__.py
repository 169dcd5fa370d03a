"""The models that are served: named, loaded, warmed, exchanged."""
