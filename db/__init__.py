"""What is remembered: PostgreSQL is the only truth; Redis holds soft state that may be flushed at any time."""
