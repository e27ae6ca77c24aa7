"""One run of the whole system: its processes, its recording, its outcome."""
