"""The HighLevel simulator: a strict rate limiter, faults on demand, synthetic contacts and messages. It imports nothing of `highlevel/`.

The walk: `asgi` receives a request → `gate` counts it (`limiter` judges, `arrival_log` records) → `faults` may fail it
(`connection` breaks the connection) → `api` responds. A search reads the `directory` through `contact_search` (`filters`,
`filter_fields`, `contact_index`) and shows each `stored_contact`. An export reads the `message_history` of each `stored_message`
through `message_export` (`cursors`). `churn` and `chatter` change contacts and messages meanwhile.
Beside it: `synthetic_contacts` and `synthetic_messages` make data, `admin` and `settings` steer, `server` listens on a port.
"""
