"""HighLevel as values (calls, contact), what a location may spend (budget), and the one door (client, tokens)."""
