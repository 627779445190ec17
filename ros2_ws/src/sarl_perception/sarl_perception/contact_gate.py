"""Contact or not, with hysteresis: a probability that trembles about a threshold must not switch poses on and off."""

from __future__ import annotations


class ContactGate:
    """Remembers whether the sensor touches something."""

    def __init__(self) -> None:
        self._touches = False
        self._last_s: float | None = None

    def update(
        self, probability: float | None, stamp_s: float, *, on: float, off: float, forget_after_s: float
    ) -> bool:
        """Whether the sensor touches something at `stamp_s`; true when the model cannot say (None).

        Contact begins at probability `on` and ends below `off`. What was before a gap of `forget_after_s`, or before
        time went back (a bag that starts over), is forgotten: contact then has to begin anew.
        """
        if probability is None:
            return True
        if self._last_s is None or not 0 <= stamp_s - self._last_s <= forget_after_s:
            self._touches = False
        self._last_s = stamp_s
        self._touches = probability >= (off if self._touches else on)
        return self._touches
