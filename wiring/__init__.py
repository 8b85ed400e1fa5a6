"""The composition root: reads the environment, builds what the rooms need, and starts the entries."""
