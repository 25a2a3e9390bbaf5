"""What is sold: documents of offerings in versions, read from TOML or the API."""
