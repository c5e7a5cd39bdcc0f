"""What the backends behind somebody else's API have in common: errors, patience, bytes, keys."""
