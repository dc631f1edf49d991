"""HighLevel as values: `requests` the calls, `responses` their outcomes, `contact` and `message` its data in our shape."""
