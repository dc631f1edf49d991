"""The documents that a shard's state is made of."""
