"""The server's rendering rules, and the check of variables against a prompt's definition."""
