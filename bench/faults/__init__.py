"""`mailmux bench faults`: break the running service on purpose, then account for every email."""
