"""How many calls may run at once, and when the next may begin: a policy without a clock and without a network.

Additive increase, multiplicative decrease: a server that asks to be left alone halves how many run at once, once for
all that were under way then; answers let it grow again, fast up to just below where it was and slowly from there, so
that it stays near what the server allows instead of swinging between half of it and all of it. Below one, it is one
call at a time with pauses: half a call at once begins every other call's time.
"""

from __future__ import annotations

from cozeloop_magic.errors import InvalidRequest

__all__ = ["Limiter"]

_NEAR = 0.9  # of where the server asked for patience last; above it, it is asked again soon
_FIRST_GUESS = 0.25  # seconds a call takes, as long as none was answered
_LONGEST_ASKED = 60.0  # seconds all wait because one was asked to; that one waits as long as it was told
_LONGEST = 1.0  # seconds between two calls at most, where the server names none: its limits are of calls a second


class Limiter:
    """Decides when a call may begin. Not thread-safe; times are seconds on any clock.

    Parameters
    ----------
    most : int
        How many calls may run at once at most.
    rpm, tpm : float, optional
        How many calls may begin a minute, and how many tokens a minute they may cost.
    """

    def __init__(self, most: int, *, rpm: float | None = None, tpm: float | None = None) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise InvalidRequest(f"The concurrency is {most!r}; it must be a whole number, 1 or more.")
        for name, limit in (("rpm", rpm), ("tpm", tpm)):
            if limit is not None and not limit > 0:
                raise InvalidRequest(f"{name} is {limit!r}; it must be a number above 0.")
        self._most = most
        self._allowed = float(most)
        self._refused_at = float(most)
        self._seconds_a_call = 60 / rpm if rpm else 0.0
        self._seconds_a_token = 60 / tpm if tpm else 0.0
        self._not_before = self._next_tokens = 0.0
        self._begun_at = self._cut_at = float("-inf")
        self._seconds = _FIRST_GUESS
        self._in_storm = False
        self.running = 0

    @property
    def concurrency(self) -> int:
        """How many calls may run at once now."""
        return max(int(self._allowed), 1)

    def seconds_to_wait(self, now: float) -> float | None:
        """Give the seconds until the next call may begin; None as long as enough are running."""
        if self.running >= self.concurrency:
            return None
        apart = max(self._seconds_a_call, self._seconds_apart)
        return max(self._not_before, self._begun_at + apart, self._next_tokens, now) - now

    def begin(self, now: float) -> None:
        """Note that a call begins."""
        self.running += 1
        self._begun_at = now

    def end(self) -> None:
        """Note that a call ended that says nothing about the server's limits."""
        self.running -= 1

    def answered(self, begun: float, now: float, tokens: int = 0) -> None:
        """Note that a call that began at `begun` was answered."""
        self.running -= 1
        self._in_storm = False
        self._seconds += ((now - begun) - self._seconds) / 4
        near = _NEAR * self._refused_at
        if self._allowed < near:
            self._allowed = min(self._allowed + min(2 * self._allowed, 1.0), near, self._most)
        else:
            self._allowed = min(self._allowed + min(1 / self._allowed, self._allowed / 20), self._most)
        if self._seconds_a_token:
            self._next_tokens = max(self._next_tokens, now) + tokens * self._seconds_a_token

    def refused(self, begun: float, now: float, retry_after: float | None = None) -> float:
        """Note that the server asks to be left alone, of a call that began at `begun`; give the seconds all wait."""
        self.running -= 1
        if begun > self._cut_at:
            if not self._in_storm:  # refusals in a row tell nothing of what is allowed when it is over
                self._refused_at = self._allowed
            self._in_storm = True
            self._allowed = max(self._allowed / 2, min(self._seconds / _LONGEST, 1.0))
            self._cut_at = now
        pause = self._seconds_apart if retry_after is None else min(retry_after, _LONGEST_ASKED)
        self._not_before = max(self._not_before, now + pause)
        return self._not_before - now

    @property
    def _seconds_apart(self) -> float:
        """How long after a call the next may begin, where less than one is allowed at once."""
        return min(self._seconds / self._allowed, _LONGEST) if self._allowed < 1 else 0.0
