"""What AWS, or the way to it, can refuse.

PublishError (layerforge.errors)
└── AwsError                a call that did not give its result
    ├── RefusedError        it was not done: AWS said no, or never heard of it
    │   ├── NotFoundError       there is no such thing
    │   ├── DeniedError         no policy allows it
    │   ├── CredentialsError    none, or none that hold
    │   ├── ThrottledError      too many requests: later, perhaps
    │   └── UnreachableError    no connection could be made
    └── LostAnswerError     nobody knows whether it was done
"""

from __future__ import annotations

from layerforge.errors import PublishError


class AwsError(PublishError):
    """A call without a result.

    ``code`` is AWS's name for what went wrong, or '', ``status`` that of HTTP, or 0;
    ``action`` is what a policy calls it (``lambda:PublishLayerVersion``), and
    ``retry_after`` the seconds that AWS asks to wait, where it does.
    """

    def __init__(  # noqa: PLR0913 - each is asked for by somebody
        self,
        message: str,
        *,
        remedy: str = "",
        action: str = "",
        code: str = "",
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.action = action
        self.code = code
        self.status = status
        self.retry_after = retry_after


class RefusedError(AwsError):
    """It is proven that the call was not done."""


class NotFoundError(RefusedError):
    """What the call speaks of isn't there."""


class DeniedError(RefusedError):
    """No policy allows the action on the resource."""


class CredentialsError(RefusedError):
    """There are no credentials, or they no longer hold."""


class ThrottledError(RefusedError):
    """Too many requests; the same one may pass later."""


class UnreachableError(RefusedError):
    """No connection could be made, so nothing was sent."""


class LostAnswerError(AwsError):
    """The answer is missing or says nothing: whether it was done isn't known."""
