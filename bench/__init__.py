"""Harnesses that break and measure the real service: `mailmux bench faults`, `mailmux bench throughput`."""
