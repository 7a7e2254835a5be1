"""``%loop record`` and ``%loop replay``: a lesson on a tape, and played from it with no network, token or model."""

from __future__ import annotations

import os
from argparse import Namespace

from IPython.core.magic_arguments import argument

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.notebook.verbs import Context, verb

__all__ = ["record", "replay"]

_STOP = "stop"


@verb("record")
@argument("file", metavar="FILE|stop", help="The tape to write, such as lesson.loop; stop ends the recording.")
@argument("--append", action="store_true", help="Go on with a tape that is there.")
@argument("--overwrite", action="store_true", help="Begin a file that is there anew.")
def record(context: Context, args: Namespace) -> None:
    """Record what cells ask and what they are told, with its times, for %loop replay.

    Each call is written as it ends: cells, comparisons, tables and listings alike. The tape holds variables, messages
    and answers as text; tokens and keys are left out. While it runs, no kept answer stands in for a call.
    """
    from cozeloop_magic.client.settings import TAPE_VARIABLE
    from cozeloop_magic.tape import RECORDING

    if args.file == _STOP:
        writer = RECORDING.end()
        if writer.count:
            print(f"{writer.path} holds {writer.count:,} exchanges; %loop replay {writer.path} plays them.")
        else:
            print(f"{writer.path} is empty: nothing was asked while it was recorded.")
    elif os.environ.get(TAPE_VARIABLE):
        raise InvalidRequest(
            "A tape is being played, so there is nothing new to record.", hint="End it first: %loop replay stop."
        )
    else:
        writer = RECORDING.begin(args.file, append=args.append, overwrite=args.overwrite)
        print(f"Recording to {writer.path}; %loop record stop ends it.")


@verb("replay")
@argument("file", metavar="FILE|stop", help="The tape to play; stop goes back to the Loop of before.")
@argument("--speed", metavar="N", help="How many times as fast as it was recorded; COZELOOP_MAGIC_TAPE_SPEED, or 1.")
@argument("--instant", action="store_true", help="Wait for nothing.")
def replay(context: Context, args: Namespace) -> object:
    """Answer every call from a tape: no network, no token, no model.

    The order of cells does not matter, and repeats come in the order they were recorded in. What is not on the tape
    is an error that names what differs from the nearest recorded call. A client of your own plays it, too, if it is
    made with new_client() from now on. COZELOOP_MAGIC_TAPE=FILE does the same for a whole kernel.
    """
    from cozeloop_magic.client.settings import SPEED_VARIABLE, TAPE_VARIABLE, read_speed
    from cozeloop_magic.notebook.overview import describe_settings
    from cozeloop_magic.tape import RECORDING, Tape

    if args.file == _STOP:
        if TAPE_VARIABLE not in os.environ:
            raise InvalidRequest("No tape is being played.", hint="Begin with %loop replay FILE.")
        del os.environ[TAPE_VARIABLE]
        return describe_settings(context)
    if RECORDING.writer is not None:
        raise InvalidRequest(f"{RECORDING.writer.path} is being recorded.", hint="End it first: %loop record stop.")
    if args.speed is not None and args.instant:
        raise InvalidRequest("Both --speed and --instant are given.", hint="Name one of them.")
    speed = "instant" if args.instant else args.speed or os.environ.get(SPEED_VARIABLE, "1")
    read_speed(speed, "--speed")
    Tape.read(args.file)  # what is wrong with it is told now, not by the next cell
    context.session.arguments = {}  # what %loop use has chosen comes before a tape
    os.environ[TAPE_VARIABLE], os.environ[SPEED_VARIABLE] = os.path.abspath(args.file), speed
    return describe_settings(context)
