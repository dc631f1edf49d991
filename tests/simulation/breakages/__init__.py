"""Breakages: each takes one guard away, and a checker objects. They test the checkers."""
