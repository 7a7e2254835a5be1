"""Prompts as text: written in a cell or a file, compared word by word, and kept as versions on a Loop server."""
