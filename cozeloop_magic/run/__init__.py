"""One run: its state, what drives it, and the answer it leaves."""
