"""Pictures and films: received into a file, decoded in limited processes, judged."""
