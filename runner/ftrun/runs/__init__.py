"""What a run leaves on disk, and nothing else: its folder, journal, history, checkpoints and result."""
