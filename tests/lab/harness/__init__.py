"""Run Hydrant as users do: a real Kafka with topics of its own, workers and simulated HighLevels as processes.

`process` starts, pauses and ends any program · `worker` is `hydrant run` · `sandbox` is the HighLevel simulator ·
`deployment` has topics, workers and simulators, publishes and reads · `calls` sums up what arrived at HighLevel.
"""
