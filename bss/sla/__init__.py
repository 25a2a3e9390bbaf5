"""What was promised and what was measured: minutes, months, verdicts, credits, scorecards."""
