"""From enquiry to acceptance: checks, papers, orders and their states, configuration data, what the probe verified."""
