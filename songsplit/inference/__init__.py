"""Running a model over audio of any length, rate and channel count."""
