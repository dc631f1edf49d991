"""HighLevel's refusals (contract.md §3): status, message and body as a client sees them."""

from typing import Any, Final

titles: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    422: "Unprocessable Entity",
}  # the body's `error`; 429 and 5xx have none
usual: Final = {
    401: "Invalid JWT",
    403: "The token does not have access to this location.",
    429: "Too Many Requests",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
}
cloudflare: Final = (
    b"<!DOCTYPE html><html><head><title>Access denied</title></head><body><h1>Error 1010</h1>"
    b"<p>The owner of this website has banned your access.</p></body></html>"
)


refusals: Final = {
    "expired": (401, "Invalid JWT"),
    "revoked": (401, "Invalid Private Integration token"),
    "scope": (401, "The token is not authorized for this scope."),
    "location": (403, "The token does not have access to this location."),
}  # of a token


class Problem(Exception):
    """A call is refused: 422 carries a list of messages, everything else one."""

    def __init__(self, status: int, message: str | list[str] | None = None) -> None:
        self.status = status
        self.message = usual.get(status, "Error") if message is None else message
        super().__init__(f"{status}")

    def body(self) -> dict[str, Any]:  # a JSON object
        body: dict[str, Any] = {"statusCode": self.status, "message": self.message}
        if self.status in titles:
            body["error"] = titles[self.status]
        return body


def refusal(why: str) -> Problem:
    """Of a token: `expired`, `revoked`, `scope` or `location`."""
    return Problem(*refusals[why])


def unprocessable(*messages: str) -> Problem:
    return Problem(422, list(messages))
