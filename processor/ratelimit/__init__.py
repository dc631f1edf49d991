"""The rate budget of a location decides when a call may leave.

`budget.py` grants slots and paces them; `daily.py` counts the day. `headers.py` reads the limits in a response's headers.
A 429 freezes the location for its `Retry-After` (`retry_after`); its X-RateLimit headers count as those of any response.
`circuit_breaker.py` stops calls to a location that fails, and `jitter.py` spreads retries without randomness.
"""
