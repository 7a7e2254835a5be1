"""HTTP, and the one place that knows it: requests for the calls, sseclient-py for the streams.

Every foreign error becomes one of `cozeloop_magic.errors` here.
"""

from cozeloop_magic.transport.events import EventStream
from cozeloop_magic.transport.pool import Transport
from cozeloop_magic.transport.reply import LINGER, Reply

__all__ = ["LINGER", "EventStream", "Reply", "Transport"]
