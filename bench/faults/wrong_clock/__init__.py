"""A folder for PYTHONPATH, with which a Python process has a wrong clock."""
