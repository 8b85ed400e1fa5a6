"""Programs that the measurements run as processes of their own: receivers, the load, and the peers' own code."""
