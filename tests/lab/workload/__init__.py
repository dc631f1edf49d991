"""One workload for every stage: leads, contacts, messages, jobs and an upstream that stumbles, all made from a seed.

`workload` puts them together, `large` for a real Kafka · `lead` is one lead with its `ground_truth` · a function with the
decorators of `kind` is a kind of lead · `message`, `publication` and `contact` are what it consists of. A stage publishes
`Workload.publications` and gives HighLevel `Workload.contacts` and `Workload.messages`; `tests.lab.checkers` compare what
came of it with the ground truth.
"""
