"""Everything that must be run: proxy training, profiling, auditing."""
