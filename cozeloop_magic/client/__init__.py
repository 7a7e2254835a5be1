"""One call, four ways: sync and async, whole and streamed."""
