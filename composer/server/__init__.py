"""The worker's HTTP surface: what an orchestrator, a probe or a person may ask of it."""
