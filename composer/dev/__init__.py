"""The development loop: a pipeline that runs while it is written, and a page that shows it."""
