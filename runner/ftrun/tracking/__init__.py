"""MLflow fed from what is on disk, in a process of its own."""
