"""Logs and metrics of a worker: `catalogue` declares the events, `recorder` hands each to `logs` and `metrics`."""
