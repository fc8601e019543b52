"""The rivals that ``lull replay`` compares with, each by its published rules with its own constants."""
