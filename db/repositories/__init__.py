"""Queries named by intent, a file per subject. Each repository works on the connection of one unit of work."""
