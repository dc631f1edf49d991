"""Compose HighLevel's refusals (contract.md §3): status, message and body as a client sees them."""

from typing import Any, Final

problem_titles: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    422: "Unprocessable Entity",
}  # the body's `error`; 429 and 5xx have none
default_messages: Final = {
    401: "Invalid JWT",
    403: "The token does not have access to this location.",
    429: "Too Many Requests",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
}
token_refusals: Final = {
    "expired": (401, "Invalid JWT"),
    "revoked": (401, "Invalid Private Integration token"),
    "scope": (401, "The token is not authorized for this scope."),
    "location": (403, "The token does not have access to this location."),
}
cloudflare_page: Final = (
    b"<!DOCTYPE html><html><head><title>Access denied</title></head><body><h1>Error 1010</h1>"
    b"<p>The owner of this website has banned your access.</p></body></html>"
)


class Problem(Exception):
    """Refuse a call. A 422 carries a list of messages, every other status one message."""

    def __init__(self, status: int, message: str | list[str] | None = None) -> None:
        self.status = status
        self.message = default_messages.get(status, "Error") if message is None else message
        super().__init__(f"{status}")

    def body(self) -> dict[str, Any]:  # a JSON object
        title = {"error": problem_titles[self.status]} if self.status in problem_titles else {}
        return {"statusCode": self.status, "message": self.message, **title}


def token_problem(refusal: str) -> Problem:
    """Return the refusal of a token: `expired`, `revoked`, `scope` or `location`."""
    return Problem(*token_refusals[refusal])


def unprocessable(*messages: str) -> Problem:
    return Problem(422, list(messages))
