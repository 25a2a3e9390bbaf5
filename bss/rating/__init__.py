"""What was used, in the order of time, against what is included and what it costs."""
