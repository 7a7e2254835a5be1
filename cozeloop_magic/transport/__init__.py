"""HTTP, and the one place that knows it: requests for the calls, sseclient-py for the streams.

Every foreign error becomes one of `cozeloop_magic.errors` here. What opens sockets is in `http_transport`, which is
imported where a server is called: a tape plays where there are none.
"""

from cozeloop_magic.transport.events import EventStream
from cozeloop_magic.transport.reply import LINGER, Reply
from cozeloop_magic.transport.transport import Transport

__all__ = ["LINGER", "EventStream", "Reply", "Transport"]
