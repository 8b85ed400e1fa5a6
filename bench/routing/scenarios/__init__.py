"""One file per scenario: `build(seed)` returns a bench.routing.world.Scenario. Its name is the file's."""
