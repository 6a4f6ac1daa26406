"""What a user has agreed to, and what an event of nobody is.

Without `profile` an event is nobody's: no row, key or record says whose it was. A decision of nobody says so
in its identity, so that an exposure or a click that echoes it is nobody's too, in whatever order they come.
"""

from schemas.events import Consent
from streams.settings import WhenAbsent

NOBODY_SUFFIX = "-nobody"
"""Ends the identity of a decision that was made for nobody in particular."""

GRANTED: dict[WhenAbsent, Consent] = {
    "all": ("profile", "personalisation"),
    "profile": ("profile",),
    "none": (),
}
"""By ``consent.when_absent``, the purposes of an event that does not say."""


class Consents:
    """The purposes of events, those of events that do not say by the settings.

    Attributes
    ----------
    usual
        The field's value with which nothing is withheld; compared by identity, at the cost of one look.
    """

    def __init__(self, when_absent: WhenAbsent) -> None:
        self._when_absent = GRANTED[when_absent]
        self.usual: object = None if when_absent == "all" else self

    def profile(self, consent: Consent) -> bool:
        """Whether a profile may be kept and used.

        >>> Consents("all").profile(()), Consents("all").profile(None), Consents("none").profile(None)
        (False, True, False)
        """
        return "profile" in self._purposes(consent)

    def personalisation(self, consent: Consent) -> bool:
        """Whether a decision may go by the profile, so that there must be one.

        >>> Consents("all").personalisation(("personalisation",))
        False
        """
        purposes = self._purposes(consent)
        return "personalisation" in purposes and "profile" in purposes

    def _purposes(self, consent: Consent) -> tuple[str, ...]:
        return (self._when_absent or ()) if consent is None else consent
