"""The values that go over the wire, named as in the official SDK."""
