"""Numbers in, expected load out. Pure."""
