"""Models: their files, what they take and give, and who shares them."""
