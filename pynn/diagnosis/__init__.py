"""Why a step failed, or why training stands still: suspects, trials and rules."""
