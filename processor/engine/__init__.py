"""The engine runs shards: it brings the time, the log and HighLevel's responses, and sends what a turn asks for.

`supervisor.py` starts a runner for each partition that `membership.py` says is ours. `runner.py` opens the shard,
`turn_loop.py` commits its turns, `dispatch.py` sends calls through `client.py` with the tokens of `tokens.py`. `ports.py` is all
that a runner knows of the outside. `clock.py`, `state_file.py` and `health.py` are the rest of a worker.
"""
