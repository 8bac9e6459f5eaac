"""Media: pixels, containers and codecs. Only this package and nodes import av."""
