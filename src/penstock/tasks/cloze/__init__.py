"""Cloze: masked tokens predicted from both sides."""
