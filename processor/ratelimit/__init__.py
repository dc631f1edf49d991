"""The rate budget of a location decides when a call may leave.

`budget.py` grants slots and paces them; `daily.py` counts the day. `headers.py` reads the limits in a response's headers:
`retry_after` is the header of a 429 that is believed. `circuit_breaker.py` stops calls to a location that fails, and
`jitter.py` spreads retries without randomness.
"""
