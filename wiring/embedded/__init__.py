"""Real PostgreSQL and Valkey for a machine that has neither: run as children, with their data under DATA_DIR."""
