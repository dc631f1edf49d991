"""The shell around the shards: Kafka, calls, clock and one runner per owned partition. All that waits is here."""
