"""Usage: what each service sent and received in minutes and hours that are closed, computed from `flows` alone. docs/usage.md defines every column."""
