"""What stands before every request: limits, keys, counting."""
