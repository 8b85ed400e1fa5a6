"""HTTP in: thin. Routes parse, call a use case or a repository, and answer."""
