"""From a cell's text to the values and messages of a request."""
