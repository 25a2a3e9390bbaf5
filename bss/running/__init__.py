"""Bringing in what runs already: customers, services, bindings and contracts as of a day."""
