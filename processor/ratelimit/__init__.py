"""The rate budget of a location: `budget` its windows, `daily` its day, `headers` the limits that responses report,
`circuit_breaker` its failures, `jitter` repeatable delays."""
