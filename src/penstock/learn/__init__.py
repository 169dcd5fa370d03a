"""The chapter's exercises and notebooks."""
