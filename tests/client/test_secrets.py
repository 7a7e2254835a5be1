"""Credentials are in no repr, log, pickle or traceback."""

from __future__ import annotations

import json

import pytest

from cozeloop_magic import errors
from tests.client.ways import ClientOf, Serve
from tests.conftest import TOKEN
from tests.wire_server import (
    answer,
)


def test_no_secret_is_in_a_repr_or_a_pickle(serve: Serve, client_of: ClientOf) -> None:
    import pickle

    client = client_of(serve(answer({"code": 600502002, "msg": "slow down"}, "429 Too Many Requests")))
    with pytest.raises(errors.RateLimited) as caught:
        client.execute_prompt("greet")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.code) == (str(caught.value), 600502002)
    assert TOKEN not in repr(client) + repr(client.connect()) + repr(caught.value) + json.dumps(
        vars(copy), default=repr
    )
