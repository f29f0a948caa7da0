"""Decides what to run next and remembers it."""
