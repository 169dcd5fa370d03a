"""File formats: lines, tables and JSON lines as sentence pairs."""
