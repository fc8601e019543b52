"""The commands of ``lull``, one module each: what it is called with, and what it does then.

A module here is imported whenever ``lull`` is called, so it imports what its command works with only when it runs.
"""
