"""The embedded Loop: a local server with Coze Loop's API, a prompt store and a real, small language model."""
