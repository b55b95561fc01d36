"""Explain a failed step or a run that stands still: suspects, trials and rules."""
