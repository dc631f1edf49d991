"""The HighLevel simulator: strict limiter, faults on demand, synthetic contacts. It shares no code with `highlevel/`.

The walk: `asgi` takes a request → `gate` notes its arrival (`limiter` judges, `record` remembers) → `faults` may strike
(`wire` acts it out) → `api` answers: from the `directory` of contacts through `search` (`filters`, `fields`, `index`) in one
of two `shapes`, from the `history` of `messages` through `export` (`cursors`); `churn` and `chatter` change them meanwhile.
Beside it: `contacts` and `conversations` are synthetic, `admin` steers (`settings`), `server` puts it on a port.
"""
