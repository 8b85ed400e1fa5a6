"""One file per policy: `NAME`, and `make(briefing)` which returns a bench.routing.simulator.Policy."""
