"""Every interleaving: schedules explored, the reduction proved, a failure made small and written down as a scenario."""
