"""Recorded exchanges with a Loop server, in one readable file: what was asked, what came, and when.

A tape is JSON Lines. The first line is its header: who answered, and when it was recorded. Each other line is one
exchange. Nothing here knows HTTP libraries or clocks: `cozeloop_magic.transport` records tapes and plays them.
"""

from cozeloop_magic.tape.exchange import Exchange, Fault, Header
from cozeloop_magic.tape.file import Tape, TapeWriter
from cozeloop_magic.tape.recording import RECORDING

__all__ = ["RECORDING", "Exchange", "Fault", "Header", "Tape", "TapeWriter"]
