"""The command `mailmux`."""
