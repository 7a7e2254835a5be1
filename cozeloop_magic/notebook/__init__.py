"""The magics, and what they share in one IPython shell."""
