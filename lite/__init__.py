"""A page that plays lessons in a browser alone: JupyterLite, Pyodide, and everything they need, as plain files."""
