"""Sessions whose graph runs in a process of its own."""
