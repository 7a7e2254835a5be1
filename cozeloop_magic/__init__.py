"""Run, compare and teach with versioned Coze Loop prompts inside a Jupyter notebook."""

__version__ = "0.1.0"
